//! Level 2: logs of steps that are being made.

use super::Failure;
use super::answer::empty;
use super::guard::{allow, caller};
use super::query::value;
use super::small::small_body;
use crate::App;
use crate::auth::Access;
use crate::logs::Follower;
use acetate_cache_api::Route;
use acetate_cache_api::log::{MAX_APPEND, Stream};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use std::convert::Infallible;
use std::sync::Arc;

/// `POST` appends, `GET` follows.
pub(super) async fn logs(
    app: &Arc<App>,
    route: &Route,
    request: Request,
) -> Result<Response, Failure> {
    let caller = caller(request.extensions());
    match *request.method() {
        Method::POST => {
            allow(app, &caller, &route.namespace, Access::Write)?;
            append(app, route, request).await
        }
        Method::GET => {
            allow(app, &caller, &route.namespace, Access::Read)?;
            follow(app, route, &request)
        }
        _ => Err(Failure::MethodNotAllowed),
    }
}

async fn append(app: &Arc<App>, route: &Route, request: Request) -> Result<Response, Failure> {
    let lease = value(request.uri(), "lease").unwrap_or_default().to_owned();
    let stream = value(request.uri(), "stream").and_then(Stream::parse);
    let stream = stream.ok_or_else(|| Failure::Bad("`stream` must be 1 or 2".to_owned()))?;
    let body = small_body(app, request, MAX_APPEND as u64).await?;
    let is_taken = app.logs.append(&app.leases, route, &lease, stream, &body);
    Ok(empty(if is_taken {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::GONE
    }))
}

fn follow(app: &Arc<App>, route: &Route, request: &Request) -> Result<Response, Failure> {
    let from = match value(request.uri(), "from") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| Failure::Bad(format!("`{text}` is no offset")))?,
    };
    let follower = app.logs.follow(&app.leases, route, from);
    let follower = follower.ok_or(Failure::NotFound)?;
    let stream = futures_util::stream::unfold(follower, |mut follower: Follower| async move {
        let sent = follower.next().await?;
        Some((Ok::<_, Infallible>(sent), follower))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
