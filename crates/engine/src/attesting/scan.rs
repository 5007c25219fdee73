//! What packages are in the results: by the built-in scanner, or by one that is an image.

use super::targets::{self, Extras};
use super::trees::{ContextTree, SnapshotTree};
use super::{Results, scans as wants_scans};
use crate::images::{Assembled, FinishError, lost_or};
use crate::runner::StepRunner;
use crate::{BuildError, BuildRequest};
use acetate_attest::sbom::{self, DocumentInfo, Limits, PREDICATE_SPDX, Tree};
use acetate_attest::scanner::{CORE, Scan};
use acetate_frontend::{ImageResult, Lowered, MainContext};
use acetate_oci::Timestamp;
use acetate_snapshot::Snapshot;
use std::sync::Arc;

/// A program is read whole to be looked into, so the largest of them says how much memory a scan
/// takes.
const LIMITS: Limits = Limits {
    file_bytes: 64 << 20,
    program_bytes: 128 << 20,
    packages: 200_000,
};

/// What is scanned besides a result, ready to be read.
pub(super) struct Scannable {
    pub(super) core: Snapshot,
    pub(super) stages: Vec<(String, Snapshot)>,
    pub(super) context: bool,
}

/// Scans one image and what is to be scanned with it.
pub(super) async fn scans(
    runner: &Arc<StepRunner>,
    lowered: &Lowered,
    request: &BuildRequest,
    results: Results<'_>,
    (image, assembled): (&ImageResult, &Assembled),
    created: Timestamp,
) -> Result<Vec<Scan>, FinishError> {
    if !wants_scans(request) {
        return Ok(Vec::new());
    }
    let own = image.output.and_then(|edge| results.find(edge.vertex));
    let core = assembled.files.snapshot.clone();
    ready(runner, &core, own.map(|(n, _)| n)).await?;
    let extras = targets::extras(lowered, image);
    let stages = stages(runner, results, &extras).await?;
    let step = runner
        .progress
        .internal(&format!("scanning {} for packages", image.platform));
    let has_context = matches!(runner.contexts.main(), MainContext::Local);
    if extras.context && !has_context {
        step.note("the build context is not scanned, for it is no directory of this machine");
    }
    let scannable = Scannable {
        core,
        stages,
        context: extras.context && has_context,
    };
    let scanned = match &runner.generator {
        Some(generator) => generator.run(runner, scannable, &step).await,
        None => built_in(runner, scannable, created).await,
    };
    step.end(&scanned);
    Ok(scanned?)
}

async fn stages(
    runner: &StepRunner,
    results: Results<'_>,
    extras: &Extras,
) -> Result<Vec<(String, Snapshot)>, FinishError> {
    let mut stages = Vec::with_capacity(extras.stages.len());
    for (name, edge) in &extras.stages {
        let Some((n, output)) = results.find(edge.vertex) else {
            continue;
        };
        let snapshot = output.files().snapshot;
        ready(runner, &snapshot, Some(n)).await?;
        stages.push((name.clone(), snapshot));
    }
    Ok(stages)
}

async fn ready(
    runner: &StepRunner,
    snapshot: &Snapshot,
    target: Option<usize>,
) -> Result<(), FinishError> {
    let usable = runner.blobs.ensure_usable(snapshot).await;
    usable.map_err(|error| lost_or(error, target))
}

async fn built_in(
    runner: &Arc<StepRunner>,
    scannable: Scannable,
    created: Timestamp,
) -> Result<Vec<Scan>, BuildError> {
    let runner = Arc::clone(runner);
    acetate_stdx::blocking(move || {
        let mut scans = Vec::new();
        let view = |snapshot| runner.snapshots.view(snapshot).map(SnapshotTree);
        scans.push(scan(CORE, &view(&scannable.core)?, created)?);
        for (name, snapshot) in &scannable.stages {
            scans.push(scan(&format!("{CORE}-{name}"), &view(snapshot)?, created)?);
        }
        if scannable.context
            && let Some(tree) = runner.contexts.open_tree("")?
        {
            scans.push(scan(
                &format!("{CORE}-context"),
                &ContextTree(tree),
                created,
            )?);
        }
        Ok(scans)
    })
    .await
}

fn scan(name: &str, tree: &dyn Tree, created: Timestamp) -> Result<Scan, BuildError> {
    let found = sbom::scan(tree, &LIMITS);
    let found =
        found.map_err(|error| BuildError::request(format!("scan for packages: {error}")))?;
    let info = DocumentInfo {
        name: name.to_owned(),
        created,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        scanned: None,
    };
    Ok(Scan {
        name: format!("{name}.spdx"),
        predicate_type: PREDICATE_SPDX.to_owned(),
        subject: Vec::new(),
        predicate: sbom::document(&info, &found),
    })
}
