//! For those who run the server.

use super::Failure;
use super::guard::allow;
use crate::App;
use crate::auth::{Access, Caller};
use crate::storage::{Listed, StorageError};
use acetate_cache_api::admin::{Entry, ServerStats};
use acetate_cache_api::{Kind, Namespace};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The server can read its index, write its disk and reach its bucket.
pub(super) async fn readyz(app: &Arc<App>) -> Result<Response, Failure> {
    app.storage.ready().await?;
    let app = Arc::clone(app);
    let tried = acetate_stdx::blocking(move || {
        app.disk.index().sum(Kind::Action)?;
        app.disk.upload().map(drop)
    });
    tried.await?;
    Ok("ready\n".into_response())
}

/// How many entries and steps are shown of each kind.
const MOST_SHOWN: usize = 10;
/// How many steps in flight are told.
const MOST_STEPS: usize = 200;

/// What is there and what happened, with the names of a namespace and below it.
pub(super) fn stats(app: &App, within: &Namespace) -> Result<ServerStats, StorageError> {
    let (metrics, index, now) = (&app.metrics, app.disk.index(), app.disk.now());
    let (hits, misses) = (metrics.hits.get(), metrics.misses.get());
    let entries = |oldest| {
        let found = index.notable_within(within, MOST_SHOWN, oldest)?;
        let entries = found.iter().map(|one| entry(one, now));
        Ok::<Vec<Entry>, StorageError>(entries.collect())
    };
    let mut in_flight = app.leases.in_flight(within);
    in_flight.truncate(MOST_STEPS);
    Ok(ServerStats {
        records: index.sum(Kind::Action)?.n,
        contents: index.sum(Kind::Content)?.n,
        used_bytes: app.disk.used(),
        max_bytes: app.disk.max_bytes(),
        hits,
        misses,
        hit_rate: rate(hits, misses),
        bytes_up: metrics.bytes_up.get(),
        bytes_down: metrics.bytes_down.get(),
        saved_ms: metrics.saved_ms.get(),
        in_flight,
        largest: entries(false)?,
        oldest: entries(true)?,
        last_misses: app.misses.within(within, now),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share need not be exact to the last bit"
)]
fn rate(hits: u64, misses: u64) -> Option<f64> {
    let all = hits + misses;
    (all > 0).then(|| hits as f64 / all as f64)
}

/// An entry as it is told.
pub(super) fn entry(listed: &Listed, now: i64) -> Entry {
    let object = &listed.object;
    let kind = match object.kind {
        Kind::Action => "record",
        Kind::Content => "content",
    };
    Entry {
        kind: kind.to_owned(),
        namespace: object.namespace.to_string(),
        key: object.key.hex(),
        size: object.size,
        age_secs: u64::try_from(now - object.used).unwrap_or(0),
        saved_ms: listed.saved_ms,
    }
}

/// The numbers in the text format of Prometheus.
pub(super) fn metrics(app: &App, caller: &Caller) -> Result<Response, Failure> {
    allow(app, caller, &Namespace::root(), Access::Read)?;
    let sum = |kind| app.disk.index().sum(kind).map(|sum| sum.n);
    let gauges = [
        (
            "acetate_used_bytes",
            "Bytes of all objects.",
            app.disk.used(),
        ),
        (
            "acetate_records",
            "Records that are there.",
            sum(Kind::Action)?,
        ),
        (
            "acetate_contents",
            "Content that is there.",
            sum(Kind::Content)?,
        ),
        (
            "acetate_leases",
            "Records that are being made.",
            app.leases.len() as u64,
        ),
        (
            "acetate_log_bytes",
            "Bytes of logs of steps that are being made.",
            app.logs.bytes() as u64,
        ),
    ];
    Ok(app.metrics.exposition(&gauges).into_response())
}
