//! Copies, directories and small files.

use super::StepError;
use crate::output::{Files, Output};
use crate::runner::StepRunner;
use crate::sight;
use acetate_files::{CopyInput, NodeKind, Staging, Tree, ViewTree, copy, mkdir, mkfile};
use acetate_graph::{FileAction, FileOp};
use acetate_oci::Timestamp;
use acetate_snapshot::{Layer, Snapshots};

/// Carries out all actions of a File op as one layer.
pub(crate) async fn run(
    runner: &StepRunner,
    op: &FileOp,
    inputs: &[Output],
) -> Result<Files, StepError> {
    let (op, inputs) = (op.clone(), inputs.to_vec());
    let (snapshots, now) = (runner.snapshots.clone(), runner.now);
    acetate_stdx::blocking(move || apply(&snapshots, &op, &inputs, now)).await
}

fn apply(
    snapshots: &Snapshots,
    op: &FileOp,
    inputs: &[Output],
    now: Timestamp,
) -> Result<Files, StepError> {
    let base = op
        .base
        .and_then(|n| inputs.get(n as usize))
        .map(Output::files)
        .unwrap_or_default();
    let trees = trees(snapshots, inputs)?;
    let view = ViewTree::new(snapshots.view(&base.snapshot)?);
    let layer = snapshots.prepare_layer(&base.snapshot)?;
    let mut staging = Staging::new(&view, layer.path(), now)?;
    if let Some(n) = op.accounts {
        let accounts = trees.get(n as usize).and_then(Option::as_ref);
        let accounts = accounts.ok_or_else(|| StepError::internal("owners of no snapshot"))?;
        staging = staging.with_accounts(accounts);
    }
    for action in &op.actions {
        match action {
            FileAction::Mkdir(action) => mkdir(&mut staging, action)?,
            FileAction::Mkfile(action) => mkfile(&mut staging, action)?,
            FileAction::Copy(action) => {
                let n = action.input as usize;
                let (Some(input), Some(tree)) = (inputs.get(n), trees.get(n)) else {
                    return Err(StepError::internal("a copy from no input"));
                };
                copy(&mut staging, action, copy_input(input, tree.as_ref())?)?;
            }
        }
    }
    staging.finish()?;
    let snapshot = layer.commit()?;
    Ok(base.with(snapshot, now))
}

/// The layers that hold the files which an op copies out of snapshots.
///
/// What cannot be found is left for the op itself to tell.
pub(crate) fn picked(snapshots: &Snapshots, op: &FileOp, inputs: &[Output]) -> Vec<Layer> {
    let mut picked: Vec<Layer> = Vec::new();
    for action in &op.actions {
        let FileAction::Copy(copy) = action else {
            continue;
        };
        let Some(Output::Files(files)) = inputs.get(copy.input as usize) else {
            continue;
        };
        let Ok(seen) = sight::picks(snapshots, copy, &files.snapshot) else {
            continue;
        };
        let picks = seen.selection.slots.iter().flat_map(|slot| &slot.picks);
        for item in picks.flat_map(|pick| std::iter::once(&pick.root).chain(&pick.below)) {
            let is_file = matches!(item.node.kind, NodeKind::File { .. });
            let layer = seen.tree.layer(&item.node.path).filter(|_| is_file);
            if let Some(layer) = layer.filter(|layer| !picked.contains(layer)) {
                picked.push(layer.clone());
            }
        }
    }
    picked
}

/// The trees of inputs that are snapshots.
fn trees(snapshots: &Snapshots, inputs: &[Output]) -> Result<Vec<Option<ViewTree>>, StepError> {
    let tree = |input: &Output| match input {
        Output::Files(files) => Ok(Some(ViewTree::new(snapshots.view(&files.snapshot)?))),
        Output::Selected(_) => Ok(None),
    };
    inputs.iter().map(tree).collect()
}

fn copy_input<'a>(
    input: &'a Output,
    tree: Option<&'a ViewTree>,
) -> Result<CopyInput<'a>, StepError> {
    match (input, tree) {
        (Output::Selected(selected), _) => {
            let tree = selected
                .tree()
                .ok_or_else(|| StepError::internal("a copy from no context"))?;
            Ok(CopyInput {
                tree: tree as &dyn Tree,
                pinned: Some(&selected.selection),
            })
        }
        (Output::Files(_), Some(tree)) => Ok(CopyInput { tree, pinned: None }),
        (Output::Files(_), None) => Err(StepError::internal("a copy from no snapshot")),
    }
}
