//! Where a job's answer is sent: a URL that can be called at all. Whether its address may be called the worker says.

use axum::http::{HeaderMap, HeaderName};
use faas_api::headers;
use faas_queue::{OwnGateway, check_callback};

use super::refuse;
use crate::fault::Fault;

const CALLBACK_URL: HeaderName = HeaderName::from_static(headers::CALLBACK_URL);

/// The caller's, if it names one.
pub(super) fn parse(headers: &HeaderMap, own: &OwnGateway) -> Result<Option<String>, Fault> {
    let mut urls = headers.get_all(CALLBACK_URL).iter();
    let url = match (urls.next(), urls.next()) {
        (None, _) => return Ok(None),
        (Some(url), None) => url.to_str().map_err(|_| refuse("X-Callback-Url: expected ASCII"))?,
        (Some(_), Some(_)) => return Err(refuse("X-Callback-Url: expected once")),
    };
    if url.is_empty() {
        return Ok(None);
    }
    check_callback(url, own).map_err(|invalid| refuse(format!("X-Callback-Url: {invalid}")))?;
    Ok(Some(url.to_owned()))
}
