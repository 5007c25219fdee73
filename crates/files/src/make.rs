//! Makes directories and small files: WORKDIR and heredocs.

use crate::copy::ends_as_dir;
use crate::fill::Check;
use crate::mode::ModeSpec;
use crate::staging::{Attrs, Implied, Staging};
use crate::{Content, FilesError, Owner, Tree};
use acetate_graph::{MkdirAction, MkfileAction};
use std::collections::BTreeMap;
use std::io::Cursor;

/// Makes a directory and its missing parents; existing ones stay as they are (S64).
pub fn mkdir(staging: &mut Staging<'_>, action: &MkdirAction) -> Result<(), FilesError> {
    let owner = owner(staging, &action.owner)?;
    let mtime = action.mtime.unwrap_or(staging.now());
    let place = staging.place(&action.path)?;
    staging.make_dirs(
        &place,
        &Implied {
            mode: action.mode,
            owner,
            mtime,
        },
    )
}

/// Writes a file.
pub fn mkfile(staging: &mut Staging<'_>, action: &MkfileAction) -> Result<(), FilesError> {
    let owner = owner(staging, &action.owner)?;
    let mode = action.mode.as_deref().map(ModeSpec::parse).transpose()?;
    let mtime = action.mtime.unwrap_or(staging.now());
    let mut place = staging.place(&action.dest)?;
    let is_dir = staging.lookup(&place)?.is_some_and(|node| node.is_dir());
    if is_dir || ends_as_dir(&action.dest) {
        place.push(&action.name);
    }
    let dir_mode = mode.as_ref().map_or(0o755, ModeSpec::of_made_dirs);
    if let Some(parent) = place.parent() {
        staging.make_dirs(
            parent,
            &Implied {
                mode: dir_mode,
                owner: owner.clone(),
                mtime,
            },
        )?;
    }
    let mode = mode.map_or(0o644, |mode| mode.apply(0o644, false));
    let attrs = Attrs {
        mode,
        owner,
        mtime,
        xattrs: &BTreeMap::new(),
    };
    let content = Content::Stream(Box::new(Cursor::new(action.content.clone())));
    staging.put_file(&place, content, &attrs, Check::Trust)?;
    staging.touch_parent(&place);
    Ok(())
}

fn owner(staging: &Staging<'_>, spec: &str) -> Result<Owner, FilesError> {
    if spec.is_empty() {
        Ok(Owner::default())
    } else {
        Owner::resolve(spec, staging.accounts())
    }
}
