//! Requests to answers.

mod answer;
mod batch;
mod guard;
mod lease;
mod object;
mod operation;
mod page;
mod read;
mod write;

use crate::App;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

pub(crate) use answer::Failure;

/// All paths. Namespaces have any depth, so objects are told by the end of their path.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/healthz", get(operation::healthz))
        .route("/readyz", get(operation::readyz))
        .route("/metrics", get(operation::metrics))
        .fallback(dispatch)
        .layer(from_fn_with_state(Arc::clone(&app), check_host))
        .with_state(app)
}

async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let path = request.uri().path().to_owned();
    if let Some(rest) = path.strip_prefix("/v2/") {
        return batch::level_1(&app, rest, request).await;
    }
    if let Some(rest) = path.strip_prefix("/x/v1/") {
        return lease::level_2(&app, rest, request).await;
    }
    let method = request.method().clone();
    match method {
        Method::GET | Method::HEAD => object::get(&app, &path, &request),
        Method::PUT => write::put(&app, &path, request).await,
        Method::DELETE => object::delete(&app, &path, &request),
        _ => Err(Failure::MethodNotAllowed),
    }
}

/// A page of another site cannot reach an open server through a name that leads to loopback.
async fn check_host(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if let Some(hosts) = &app.config.only_hosts {
        let header = request.headers().get("host");
        let host = header.and_then(|value| value.to_str().ok()).unwrap_or("");
        if !hosts.iter().any(|known| known == guard::host_name(host)) {
            return Err(Failure::Host(host.to_owned()));
        }
    }
    Ok(next.run(request).await)
}
