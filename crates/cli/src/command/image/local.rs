//! `acetate image tag` and `acetate image rm`.

use super::{Site, print, reference};
use crate::failure::Failure;
use crate::flags::{ImageRmFlags, ImageTagFlags};
use acetate_engine::RemoveForce;

/// Gives an image one more name.
pub(super) fn tag(site: Site<'_>, flags: &ImageTagFlags) -> Result<(), Failure> {
    let target = reference(&flags.target)?;
    Ok(site.engine()?.tag_image(&flags.source, &target)?)
}

/// Takes names away, and says which.
pub(super) fn rm(site: Site<'_>, flags: &ImageRmFlags) -> Result<(), Failure> {
    let engine = site.engine()?;
    let force = if flags.force {
        RemoveForce::Yes
    } else {
        RemoveForce::No
    };
    let mut has_freed = false;
    for image in &flags.images {
        let removed = engine.remove_image(image, force)?;
        for name in &removed.names {
            print::out(&format!("Untagged: {name}\n"))?;
        }
        for id in &removed.ids {
            print::out(&format!("Deleted: {id}\n"))?;
            has_freed = true;
        }
    }
    if has_freed {
        print::note("what only they needed is freed by `acetate prune`");
    }
    Ok(())
}
