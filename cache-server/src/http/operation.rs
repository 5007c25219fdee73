//! For those who run the server.

use super::Failure;
use super::guard::allow;
use crate::App;
use crate::auth::{Access, Caller};
use crate::storage::StorageError;
use acetate_cache_api::{Kind, Namespace};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;

/// The server can read its index and write its disk.
pub(super) async fn readyz(app: &Arc<App>) -> Result<Response, Failure> {
    let app = Arc::clone(app);
    let tried = acetate_stdx::blocking(move || {
        app.disk.index().sum(Kind::Action)?;
        app.disk.upload().map(drop)
    });
    tried.await?;
    Ok("ready\n".into_response())
}

/// What is there and what happened.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Stats {
    pub(super) records: u64,
    pub(super) contents: u64,
    pub(super) used_bytes: u64,
    pub(super) max_bytes: Option<u64>,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    pub(super) saved_ms: u64,
}

impl Stats {
    pub(super) fn of(app: &App) -> Result<Self, StorageError> {
        let metrics = &app.metrics;
        Ok(Self {
            records: app.disk.index().sum(Kind::Action)?.n,
            contents: app.disk.index().sum(Kind::Content)?.n,
            used_bytes: app.disk.used(),
            max_bytes: app.disk.max_bytes(),
            hits: metrics.hits.get(),
            misses: metrics.misses.get(),
            bytes_up: metrics.bytes_up.get(),
            bytes_down: metrics.bytes_down.get(),
            saved_ms: metrics.saved_ms.get(),
        })
    }
}

/// The numbers in the text format of Prometheus.
pub(super) fn metrics(app: &App, caller: &Caller) -> Result<Response, Failure> {
    allow(app, caller, &Namespace::root(), Access::Read)?;
    let stats = Stats::of(app)?;
    let gauges = [
        (
            "acetate_used_bytes",
            "Bytes of all objects.",
            stats.used_bytes,
        ),
        ("acetate_records", "Records that are there.", stats.records),
        ("acetate_contents", "Content that is there.", stats.contents),
        (
            "acetate_leases",
            "Records that are being made.",
            app.leases.in_flight().len() as u64,
        ),
    ];
    Ok(app.metrics.exposition(&gauges).into_response())
}
