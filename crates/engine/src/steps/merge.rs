//! Layers laid over layers.

use super::StepError;
use crate::output::{Files, Output};
use crate::runner::StepRunner;
use acetate_snapshot::{Snapshot, Snapshots};
use std::sync::Arc;

/// Stacks all inputs, the first one lowest.
pub(crate) async fn run(runner: &StepRunner, inputs: &[Output]) -> Result<Files, StepError> {
    let inputs: Vec<Files> = inputs.iter().map(Output::files).collect();
    let uppers = inputs.iter().skip(1);
    for upper in uppers.filter(|upper| upper.snapshot.layers().len() > 1) {
        // Of more than one layer the bytes may be needed; one layer is taken as it is.
        runner.blobs.ensure_usable(&upper.snapshot).await?;
    }
    let snapshots = runner.snapshots.clone();
    acetate_stdx::blocking(move || stack(&snapshots, &inputs)).await
}

fn stack(snapshots: &Snapshots, inputs: &[Files]) -> Result<Files, StepError> {
    let mut snapshot = Snapshot::scratch();
    let mut created = Vec::new();
    for input in inputs {
        snapshot = snapshots.stack(&snapshot, &input.snapshot)?;
        created.extend(input.created.iter().copied());
    }
    let created = Arc::from(created);
    Ok(Files { snapshot, created })
}
