//! Files of one folder, without a handler: of-watchdog's `static`.
//!
//! A folder is answered by its `index.html`; one without is 404, where the peers list it. Symbolic links are followed,
//! as the peers do. What handlers may not read, this may not either: the watchdog itself enters their confinement.
//! Nothing is held but the piece of 64 KiB that is being sent.

use std::io::{self, ErrorKind};
use std::path::Path;

use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Request, StatusCode, Uri};
use tower_http::services::ServeDir;

use crate::answer::{self, Answer, Side};
use crate::body::Body;
use crate::config::Config;
use crate::inbound::Inbound;
use crate::{confine, log};

/// Serves files.
#[derive(Debug)]
pub(crate) struct Files(ServeDir);

impl Files {
    /// Confines the calling thread, which is the one that serves, and so all that read files for it.
    pub(super) fn start(config: &Config, folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            log::line(format_args!("static_path {} is no folder: every path will be 404", folder.display()));
        }
        log::line(format_args!("Serving files at: {}", folder.display()));
        confine::restrict(&config.flags.read, &config.flags.write)?;
        Ok(Self(ServeDir::new(folder)))
    }

    pub(super) async fn answer(&self, request: Request<Inbound>) -> Answer {
        let folder = folder(request.uri());
        match self.0.clone().try_call(request).await {
            Ok(found) if found.status() == StatusCode::NOT_FOUND => not_found(),
            Ok(found) if found.status() == StatusCode::TEMPORARY_REDIRECT => moved(&folder),
            Ok(mut found) => {
                name_charset(&mut found);
                found.map(|body| Body::boxed(body.boxed_unsync()))
            }
            Err(error) => refuse(&error),
        }
    }
}

fn refuse(error: &io::Error) -> Answer {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => not_found(),
        ErrorKind::PermissionDenied => answer::text(StatusCode::FORBIDDEN, "403 Forbidden\n"),
        _ => {
            let reason = format!("failed to read the file: {error}");
            log::line(format_args!("{reason}"));
            answer::blame(answer::empty(StatusCode::INTERNAL_SERVER_ERROR), Side::Watchdog, &reason)
        }
    }
}

/// `name/` for `/some/name`: relative, so that it holds behind a gateway's prefix as well.
fn folder(uri: &Uri) -> String {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{name}/{query}")
}

fn moved(folder: &str) -> Answer {
    let mut answer = answer::empty(StatusCode::MOVED_PERMANENTLY);
    if let Ok(place) = HeaderValue::from_str(folder) {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

fn not_found() -> Answer {
    answer::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Text is UTF-8, as Go's file server says; browsers would guess otherwise.
fn name_charset<B>(answer: &mut hyper::Response<B>) {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let bare = kind.filter(|kind| kind.starts_with("text/") && !kind.contains(';'));
    if let Some(Ok(kind)) = bare.map(|kind| HeaderValue::from_str(&format!("{kind}; charset=utf-8"))) {
        answer.headers_mut().insert(CONTENT_TYPE, kind);
    }
}
