//! Requests to answers.

mod admin;
mod answer;
mod batch;
mod extension;
mod guard;
mod incoming;
mod lease;
mod log;
mod object;
mod operation;
mod page;
mod pull;
mod query;
mod raw;
mod read;
mod small;
mod write;

use crate::App;
use crate::auth::Grant;
use crate::raw::RawPath;
use acetate_cache_api::RouteError;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use std::sync::Arc;

pub(crate) use answer::Failure;

/// Answers a request.
///
/// Namespaces have any depth, so objects are told by the end of their path: a router has nothing to
/// choose between.
///
/// `peer` is what the certificate of the client allows.
pub(crate) async fn answer(
    app: Arc<App>,
    mut request: hyper::Request<Incoming>,
    peer: Option<Arc<Grant>>,
) -> Response {
    let answered = match check_host(&app, &request) {
        Ok(()) => {
            let authorization = request.headers().get(header::AUTHORIZATION);
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let caller = app.gate.caller(authorization, peer.as_ref()).await;
            request.extensions_mut().insert(caller);
            dispatch(&app, request.map(body)).await
        }
        Err(failure) => Err(failure),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// Most requests have no body, and need no box for it.
fn body(incoming: Incoming) -> Body {
    if hyper::body::Body::is_end_stream(&incoming) {
        Body::empty()
    } else {
        Body::new(incoming)
    }
}

async fn dispatch(app: &Arc<App>, request: Request) -> Result<Response, Failure> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/" if is_read => return page::show(app, &guard::caller(request.extensions())).await,
        "/healthz" if is_read => return Ok("ok\n".into_response()),
        "/readyz" if is_read => return operation::readyz(app).await,
        "/metrics" if is_read => {
            return operation::metrics(app, &guard::caller(request.extensions()));
        }
        _ => {}
    }
    let path = request.uri().path();
    if let Some(rest) = path.strip_prefix("/v2/") {
        let rest = rest.to_owned();
        return batch::level_1(app, &rest, request).await;
    }
    if let Some(rest) = path.strip_prefix("/x/v1/") {
        let rest = rest.to_owned();
        return extension::level_2(app, &rest, request).await;
    }
    if let Some(path) = RawPath::parse(path, &app.config.raw) {
        // In a box, since other requests would have to have room for it.
        return Box::pin(raw::answer(app, path.map_err(RouteError::from)?, request)).await;
    }
    match *request.method() {
        Method::GET | Method::HEAD => object::get(app, &request.into_parts().0).await,
        Method::PUT => write::put(app, request).await,
        Method::DELETE => object::delete(app, &request.into_parts().0).await,
        _ => Err(Failure::MethodNotAllowed),
    }
}

/// A page of another site cannot reach an open server through a name that leads to loopback.
fn check_host(app: &App, request: &hyper::Request<Incoming>) -> Result<(), Failure> {
    let Some(hosts) = &app.config.only_hosts else {
        return Ok(());
    };
    let header = request.headers().get(header::HOST);
    let header = header.and_then(|value| value.to_str().ok());
    // HTTP/2 has it in the URI.
    let host = header.or(request
        .uri()
        .authority()
        .map(axum::http::uri::Authority::as_str));
    let host = host.unwrap_or("");
    if hosts.iter().any(|known| known == guard::host_name(host)) {
        Ok(())
    } else {
        Err(Failure::Host(host.to_owned()))
    }
}
