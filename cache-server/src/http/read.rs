//! Bodies of answers: whole files and ranges of them.

use super::Failure;
use crate::App;
use crate::storage::Content;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio_util::bytes::Bytes;

/// Answers with content.
pub(super) fn content(app: &App, content: Content, request: &Parts) -> Result<Response, Failure> {
    let size = content.size();
    part(size, request, |start, end| body(app, content, start, end))
}

/// Answers with how long content is.
pub(super) fn size(size: u64, request: &Parts) -> Result<Response, Failure> {
    part(size, request, |_, _| Ok(Body::empty()))
}

/// Answers with what is in memory.
pub(super) fn bytes(bytes: Bytes, request: &Parts) -> Response {
    let size = bytes.len() as u64;
    let whole = |start: u64, end: u64| {
        let index = |at| usize::try_from(at).unwrap_or(usize::MAX);
        Ok(Body::from(bytes.slice(index(start)..index(end))))
    };
    part(size, request, whole).unwrap_or_else(IntoResponse::into_response)
}

/// Answers with as much as was asked for; `body` gives the bytes from one place to another.
fn part(
    size: u64,
    request: &Parts,
    body: impl FnOnce(u64, u64) -> Result<Body, Failure>,
) -> Result<Response, Failure> {
    let range = request.headers.get(header::RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    let (start, end, status) = match range.map(|range| parse(range, size)) {
        None | Some(Range::Ignored) => (0, size, StatusCode::OK),
        Some(Range::Part(start, end)) => (start, end, StatusCode::PARTIAL_CONTENT),
        Some(Range::Unsatisfiable) => return Ok(unsatisfiable(size)),
    };
    let body = if request.method == Method::HEAD {
        Body::empty()
    } else {
        body(start, end)?
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {start}-{}/{size}", end - 1);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header::CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

fn unsatisfiable(size: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn body(app: &App, content: Content, start: u64, end: u64) -> Result<Body, Failure> {
    if let Some(bytes) = content.at_hand(start, end) {
        let failed = |error| Failure::Bad(format!("the object cannot be read: {error}"));
        return Ok(Body::from(bytes.map_err(failed)?));
    }
    let share = app.down.enter();
    let most = move || share.piece() as u64;
    Ok(Body::from_stream(content.stream(start, end, most)))
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// Of another unit or of several parts: the whole is as good an answer (RFC 9110, 14.2).
    Ignored,
    /// From, to.
    Part(u64, u64),
    Unsatisfiable,
}

fn parse(header: &str, size: u64) -> Range {
    let Some((first, last)) = header
        .strip_prefix("bytes=")
        .and_then(|r| r.split_once('-'))
    else {
        return Range::Ignored;
    };
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, size.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(last)) if first.is_empty() => (size.saturating_sub(last), size),
        _ => return Range::Ignored,
    };
    if part.0 < part.1 {
        Range::Part(part.0, part.1)
    } else {
        Range::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, parse};

    #[test]
    fn ranges() {
        for (header, range) in [
            ("bytes=0-3", Range::Part(0, 4)),
            ("bytes=5-", Range::Part(5, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=8-100", Range::Part(8, 10)),
            ("bytes=9-18446744073709551615", Range::Part(9, 10)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=3-2", Range::Ignored),
            ("bytes=0-1,3-4", Range::Ignored),
            ("lines=0-3", Range::Ignored),
            ("bytes=", Range::Ignored),
        ] {
            assert_eq!(parse(header, 10), range, "{header}");
        }
    }
}
