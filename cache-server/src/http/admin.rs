//! Level 2: what people want to know about a server, and do to it.

use super::answer::{empty, json};
use super::lease::MAX_WAIT;
use super::query::{number, value};
use super::small::small_body;
use super::{Failure, operation};
use crate::App;
use crate::gc::collect;
use acetate_cache_api::Namespace;
use acetate_cache_api::admin::{MAX_MISSES, MAX_RECORDS, Miss, RecordPage};
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

/// Steps and reasons are short.
const MAX_BODY: u64 = 512 << 10;
/// How many records are listed where the question does not say.
const USUAL_RECORDS: u64 = 100;

pub(super) async fn stats(app: &Arc<App>, namespace: Namespace) -> Result<Response, Failure> {
    let app = Arc::clone(app);
    let stats = acetate_stdx::blocking(move || operation::stats(&app, &namespace));
    json(&stats.await?)
}

pub(super) async fn misses(
    app: &Arc<App>,
    namespace: &Namespace,
    request: Request,
) -> Result<Response, Failure> {
    let body = small_body(app, request, MAX_BODY).await?;
    let misses: Vec<Miss> =
        serde_json::from_slice(&body).map_err(|error| Failure::Bad(error.to_string()))?;
    if misses.len() > MAX_MISSES {
        return Err(Failure::Bad(format!("more than {MAX_MISSES} misses")));
    }
    app.misses.add(namespace, misses, app.disk.now());
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn records(
    app: &Arc<App>,
    namespace: Namespace,
    uri: &Uri,
) -> Result<Response, Failure> {
    let limit = number(uri, "limit").unwrap_or(USUAL_RECORDS);
    let limit = usize::try_from(limit).map_or(MAX_RECORDS, |limit| limit.clamp(1, MAX_RECORDS));
    let after = value(uri, "after").filter(|text| !text.is_empty());
    let after = after.map(place).transpose()?;
    let app = Arc::clone(app);
    let page = acetate_stdx::blocking(move || {
        let after = after.as_ref().map(|(namespace, key)| (namespace, key));
        let found = app.disk.index().records(&namespace, after, limit)?;
        let now = app.disk.now();
        let is_full = found.len() == limit;
        let last = found.last().filter(|_| is_full);
        let next = last.map(|one| format!("{}:{}", one.object.namespace, one.object.key.hex()));
        let records = found.iter().map(|one| operation::entry(one, now));
        let records = records.collect();
        Ok::<_, Failure>(RecordPage { records, next })
    });
    json(&page.await?)
}

/// A place in the list: `NAMESPACE:KEY`. A colon is in no namespace.
fn place(text: &str) -> Result<(Namespace, Digest), Failure> {
    let wrong = || Failure::Bad(format!("`{text}` is no place in the list"));
    let (namespace, key) = text.split_once(':').ok_or_else(wrong)?;
    let namespace = namespace.parse().map_err(|_| wrong())?;
    Ok((namespace, Digest::from_hex(key).map_err(|_| wrong())?))
}

pub(super) async fn gc(app: &Arc<App>) -> Result<Response, Failure> {
    let (disk, marks) = (Arc::clone(&app.disk), app.config.marks);
    let removed = acetate_stdx::blocking(move || collect(&disk, &marks)).await?;
    json(&removed)
}

/// How far the hashing of all content is; a `POST` has begun it.
pub(super) async fn verify(app: &Arc<App>, uri: &Uri) -> Result<Response, Failure> {
    let wait = number(uri, "wait").unwrap_or(0);
    let patience = Duration::from_secs(wait).min(MAX_WAIT);
    json(&app.verify.wait(patience).await)
}
