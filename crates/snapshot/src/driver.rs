//! Which driver serves: overlayfs where the kernel grants it on the store's disk, else copying.

use crate::error::SnapshotError;
use crate::probe;
use crate::snapshots::SnapshotOptions;
use crate::xattrs::OverlayXattrs;
use acetate_store::{FactKey, Store};

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// Overlayfs when it works in the store, else copying.
    #[default]
    Auto,
    /// Overlayfs, untested.
    Overlay,
    /// Copying.
    Copy,
}

/// The driver in use. Both give the same layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Steps write to the upper directory of an overlay.
    Overlay,
    /// Steps write to a copy of the whole tree, by reflinks where the file system has them.
    Copy,
}

/// Chooses as the options say. The outcome of a trial is remembered in the store for one boot.
pub(crate) fn choose(store: &Store, options: &SnapshotOptions) -> Result<Driver, SnapshotError> {
    match options.driver {
        DriverChoice::Overlay => return Ok(Driver::Overlay),
        DriverChoice::Copy => return Ok(Driver::Copy),
        DriverChoice::Auto => {}
    }
    let mut subject = store.boot().to_string().into_bytes();
    subject.push(match options.overlay {
        OverlayXattrs::Trusted => b't',
        OverlayXattrs::User => b'u',
    });
    let key = FactKey::new("overlay", &subject);
    let known = store.index().facts(std::slice::from_ref(&key))?;
    let works = match known.first().and_then(|value| value.as_deref()) {
        Some(b"1") => true,
        Some(b"0") => false,
        _ => {
            let works = probe::overlay(store, options.overlay)?;
            let value = if works { b"1" } else { b"0" };
            store.index().put_facts(vec![(key, value.to_vec())]);
            works
        }
    };
    Ok(if works { Driver::Overlay } else { Driver::Copy })
}
