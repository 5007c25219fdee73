//! Content keys: what a vertex is recorded under beside its definition.

use crate::output::Output;
use crate::sight::{self, Sight, SightError};
use acetate_graph::key::{InputContent, UseRole, uses};
use acetate_graph::{ContentKey, Vertex};
use acetate_oci::Digest;
use acetate_snapshot::{Snapshot, Snapshots};

/// The content key of a vertex on these inputs; none when an input cannot be told by content.
///
/// Seals what the step writes onto, and reads what it selects where no digest is known.
pub(crate) fn content_key(
    snapshots: &Snapshots,
    vertex: &Vertex,
    inputs: &[Output],
) -> Result<Option<ContentKey>, SightError> {
    let mut contents = Vec::new();
    for usage in uses(vertex) {
        let content = match (inputs.get(usage.input as usize), usage.role) {
            (None, _) => return Ok(None),
            (Some(Output::Selected(selected)), _) => InputContent::Selection(selected.digest),
            (Some(Output::Files(files)), UseRole::Written) => {
                InputContent::Chain(chain(snapshots, &files.snapshot)?)
            }
            (Some(Output::Files(files)), UseRole::Read) => {
                match read(snapshots, Sight::of(vertex, usage.place), &files.snapshot)? {
                    Some(digest) => InputContent::Selection(digest),
                    None => return Ok(None),
                }
            }
        };
        contents.push(content);
    }
    let key = acetate_graph::content_key(vertex, &contents);
    Ok(key
        .inspect_err(|error| tracing::debug!(%error, "a step has no content key"))
        .ok())
}

/// The diff ids of a snapshot, which is sealed for that.
pub(crate) fn chain(snapshots: &Snapshots, snapshot: &Snapshot) -> Result<Vec<Digest>, SightError> {
    use rayon::prelude::*;
    let layers = snapshot.layers().par_iter();
    let sealed = layers.map(|layer| Ok(snapshots.seal(layer)?.diff_id));
    sealed.collect()
}

fn read(
    snapshots: &Snapshots,
    sight: Option<Sight<'_>>,
    snapshot: &Snapshot,
) -> Result<Option<Digest>, SightError> {
    match sight {
        Some(Sight::Copy(copy)) => Ok(Some(sight::picks(snapshots, copy, snapshot)?.digest()?)),
        Some(Sight::Below(path)) => match sight::below(snapshots, path, snapshot)? {
            Some(seen) => Ok(Some(seen.digest()?)),
            None => Ok(None),
        },
        Some(Sight::Accounts) => Ok(Some(accounts(sight::accounts(snapshots, snapshot)?))),
        None => Ok(None),
    }
}

/// One digest over both files, each behind a mark and its length.
fn accounts(files: [Option<Vec<u8>>; 2]) -> Digest {
    let mut bytes = b"acetate/accounts/v1".to_vec();
    for file in files {
        match file {
            None => bytes.push(0),
            Some(file) => {
                bytes.push(1);
                bytes.extend((file.len() as u64).to_be_bytes());
                bytes.extend(file);
            }
        }
    }
    Digest::of(&bytes)
}
