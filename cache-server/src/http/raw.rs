//! As much of `WebDAV` as clients need that keep files in folders.

use super::answer::empty;
use super::guard::{allow, caller};
use super::incoming::Incoming;
use super::object::{MAX_RECORD, level_record, reach};
use super::pull::pull;
use super::write::{Wish, keep, length};
use super::{Failure, read};
use crate::App;
use crate::auth::Access;
use crate::raw::{Pieces, RawPath, decode, encode};
use crate::storage::Content;
use crate::upstream::{Names, OnlyNew, Reach};
use acetate_oci::Digest;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::io;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// Objects are kept in pieces of this size, so that none of them has to fit into memory.
const PIECE: usize = 1 << 20;

/// Answers a request about a path in a raw namespace.
pub(super) async fn answer(
    app: &Arc<App>,
    path: RawPath,
    request: Request,
) -> Result<Response, Failure> {
    let access = match request.method().as_str() {
        "GET" | "HEAD" | "PROPFIND" => Access::Read,
        "PUT" | "MKCOL" => Access::Write,
        "DELETE" => Access::Admin,
        _ => return Err(Failure::MethodNotAllowed),
    };
    allow(app, &caller(request.extensions()), &path.folder, access)?;
    let reach = reach(&path.route.namespace, request.headers());
    match request.method().as_str() {
        // Folders are no objects of their own: each is there.
        "MKCOL" => Ok(empty(StatusCode::CREATED)),
        "PROPFIND" => properties(app, &path, request.uri().path(), request.headers(), &reach).await,
        _ if path.is_folder => Err(Failure::MethodNotAllowed),
        "PUT" => put(app, &path, request, &reach).await,
        "DELETE" if app.storage.remove(&path.route).await? => Ok(empty(StatusCode::NO_CONTENT)),
        "DELETE" => Err(Failure::NotFound),
        _ => get(app, &path, &request.into_parts().0, &reach).await,
    }
}

async fn get(
    app: &Arc<App>,
    path: &RawPath,
    request: &Parts,
    reach: &Reach,
) -> Result<Response, Failure> {
    let found = find(app, path, reach).await;
    let found = found.inspect_err(|_| app.metrics.errors.one())?;
    let Some(pieces) = found else {
        app.metrics.misses.one();
        return Err(Failure::NotFound);
    };
    app.metrics.hits.one();
    let size = pieces.iter().map(|(_, size)| size).sum::<u64>();
    if let [(digest, _)] = pieces[..] {
        // The usual case, which knows ranges, too.
        let content = app.storage.content(&digest, reach).await?;
        let content = content.ok_or(Failure::NotFound)?;
        app.metrics.bytes_down.add(size);
        return read::content(app, content, request);
    }
    let body = if request.method == Method::HEAD {
        Body::empty()
    } else {
        app.metrics.bytes_down.add(size);
        joined(app, pieces, reach.clone())
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The object of a path, when all of it is there.
async fn find(app: &App, path: &RawPath, reach: &Reach) -> Result<Option<Pieces>, Failure> {
    let mut found = level_record(app, &path.route, reach).await?;
    if found.is_none() && pull(app, reach, std::slice::from_ref(&path.route.key)).await? {
        found = level_record(app, &path.route, reach).await?;
    }
    Ok(found.and_then(|record| decode(&record.body)))
}

/// One piece after the other. A client sees that one was lost by the end of its connection.
fn joined(app: &Arc<App>, pieces: Pieces, reach: Reach) -> Body {
    let app = Arc::clone(app);
    let all = stream::iter(pieces).then(move |(digest, size)| {
        let (app, reach) = (Arc::clone(&app), reach.clone());
        async move {
            let found = app.storage.content(&digest, &reach).await;
            let lost = || io::Error::other("a piece of the object is gone");
            let content: Content = found.map_err(io::Error::other)?.ok_or_else(lost)?;
            Ok::<_, io::Error>(content.stream(0, size, || PIECE as u64))
        }
    });
    Body::from_stream(all.try_flatten())
}

async fn put(
    app: &Arc<App>,
    path: &RawPath,
    request: Request,
    reach: &Reach,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let size = length(&body)?;
    let claimed = (app.uploads).claim(caller(&parts.extensions).name(), size, &app.config.limits);
    let claimed = claimed.ok_or(Failure::TooMany)?;
    app.metrics.bytes_up.add(size);
    let done = receive(app, path, size, body, reach).await;
    drop(claimed);
    if let Err(Failure::Storage(error)) = &done
        && error.is_full()
    {
        app.metrics.full.one();
    }
    done
}

async fn receive(
    app: &Arc<App>,
    path: &RawPath,
    size: u64,
    body: Body,
    reach: &Reach,
) -> Result<Response, Failure> {
    let mut incoming = Incoming::new(body, size, app.config.limits);
    let mut pieces = Pieces::new();
    while let Some(part) = incoming.part(PIECE).await? {
        pieces.push(put_piece(app, part).await?);
    }
    let record = encode(&pieces);
    if record.len() as u64 > MAX_RECORD {
        return Err(Failure::TooLarge(MAX_RECORD / 100 * PIECE as u64));
    }
    // The last one counts, as with files.
    keep(app, &path.route, record.into(), &Wish::Any, reach).await?;
    app.storage
        .tell(&path.route, OnlyNew::No, Names::Content, reach);
    Ok(empty(StatusCode::CREATED))
}

async fn put_piece(app: &App, part: Vec<Bytes>) -> Result<(Digest, u64), Failure> {
    let (part, digest) = acetate_stdx::blocking(move || {
        let mut hasher = acetate_oci::DigestHasher::new();
        for bytes in &part {
            hasher.update(bytes);
        }
        (part, hasher.finish())
    })
    .await;
    let size = part.iter().map(|bytes| bytes.len() as u64).sum();
    if app.storage.is_known(&digest, size) {
        return Ok((digest, size));
    }
    let arrival = app.storage.arrival(&digest, size).await?;
    let mut arrival = acetate_stdx::blocking(move || arrival.append(&part)).await?;
    arrival.forward().await?;
    arrival.publish().await?;
    Ok((digest, size))
}

/// The properties of one object or folder; what is in a folder is not told.
async fn properties(
    app: &App,
    path: &RawPath,
    href: &str,
    headers: &HeaderMap,
    reach: &Reach,
) -> Result<Response, Failure> {
    if headers.get("depth").is_none_or(|depth| depth != "0") {
        return Err(Failure::Bad(
            "folders are not listed: ask with `Depth: 0`".to_owned(),
        ));
    }
    let what = if path.is_folder {
        "<D:resourcetype><D:collection/></D:resourcetype>".to_owned()
    } else {
        let pieces = find(app, path, reach).await?.ok_or(Failure::NotFound)?;
        let size = pieces.iter().map(|(_, size)| size).sum::<u64>();
        format!("<D:resourcetype/><D:getcontentlength>{size}</D:getcontentlength>")
    };
    // All characters of a valid path stand for themselves.
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\"><D:response>\
         <D:href>{href}</D:href><D:propstat><D:prop>\
         <D:getlastmodified>Thu, 01 Jan 1970 00:00:00 GMT</D:getlastmodified>{what}</D:prop>\
         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n"
    );
    let kind = [(header::CONTENT_TYPE, "application/xml; charset=utf-8")];
    Ok((StatusCode::MULTI_STATUS, kind, text).into_response())
}
