//! All paths and methods of the API, and the layers around them, each with its reason. Invocations do not come here: see
//! `service`.

use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};

use crate::enqueue::not_allowed;
use crate::system::{functions, info, jobs, logs, namespaces, packages, queue, scale, secrets};
use crate::{Gateway, auth};

/// A deployment or a secret is small; packages stream past this limit.
const API_BODY_BYTES: usize = 2 << 20;

pub(crate) fn build(gateway: Gateway) -> Router {
    let queue = if gateway.0.ingest.is_some() { queue(&gateway) } else { Router::new() };
    Router::new()
        .merge(system(&gateway))
        .merge(queue)
        .route("/healthz", get(StatusCode::OK))
        .with_state(gateway)
}

/// What there is only with a queue. Posts to functions do not come here either.
fn queue(gateway: &Gateway) -> Router<Gateway> {
    let require = || from_fn_with_state(gateway.clone(), auth::require);
    // Who uses another method need not be known to be told so.
    let job = get(jobs::find).delete(jobs::cancel).route_layer(require()).fallback(not_allowed);
    let system = Router::new()
        .route("/system/queue", get(queue::depths))
        .route("/system/queue/jobs", get(queue::jobs))
        .route("/system/queue/redrive", post(queue::redrive))
        .route("/system/queue/purge", post(queue::purge))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES))
        .route_layer(require());
    system
        .route("/async-function/", any(not_allowed))
        .route("/async-function/{name}", job)
        .route("/async-function/{name}/", any(not_allowed))
        .route("/async-function/{name}/{*path}", any(not_allowed))
        .route_layer(from_fn_with_state(gateway.clone(), measure))
}

fn system(gateway: &Gateway) -> Router<Gateway> {
    let functions =
        get(functions::list).post(functions::deploy).put(functions::update).delete(functions::delete);
    let secrets = get(secrets::list).post(secrets::create).put(secrets::update).delete(secrets::delete);
    let namespace =
        || get(namespaces::get).post(namespaces::create).put(namespaces::update).delete(namespaces::delete);
    Router::new()
        .route("/system/functions", functions)
        .route("/system/function/{name}", get(functions::get))
        .route("/system/scale-function/{name}", post(scale::scale))
        .route("/system/secrets", secrets)
        .route("/system/logs", get(logs::logs))
        .route("/system/namespaces", get(namespaces::list))
        .route("/system/namespace/", post(namespaces::create).fallback(namespaces::unnamed))
        .route("/system/namespace/{namespace}", namespace())
        .route("/system/namespaces/", post(namespaces::create).fallback(namespaces::unnamed))
        .route("/system/namespaces/{namespace}", namespace())
        .route("/system/packages/{digest}", get(packages::not_served).head(packages::head).put(packages::put))
        .route("/system/info", get(info::info))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES))
        // Innermost of the two, so that refused credentials are measured as well.
        .route_layer(from_fn_with_state(gateway.clone(), auth::require))
        .route_layer(from_fn_with_state(gateway.clone(), measure))
}

/// Counts and times the API by method and path template.
async fn measure(
    State(gateway): State<Gateway>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let response = next.run(request).await;
    gateway.0.metrics.record_api(method, path.as_str(), response.status(), started.elapsed());
    response
}

/// A caller may invent methods, and each would be a new series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
