//! Room in a directory that holds copies of what is in a bucket.

use super::disk::Reservation;
use super::{Disk, StorageError, content};
use std::sync::{Arc, Mutex, TryLockError};

/// How many copies are asked for at a time.
const BATCH: usize = 64;

/// One at a time makes room; who comes meanwhile goes without a copy.
static EVICTING: Mutex<()> = Mutex::new(());

/// Room for a copy, for which the longest unused ones are removed; none when it is not worth that.
/// The bucket's objects stay.
pub(super) fn room(disk: &Arc<Disk>, bytes: u64) -> Result<Option<Reservation>, StorageError> {
    if let Ok(room) = disk.reserve(bytes) {
        return Ok(Some(room));
    }
    let Some(max) = disk.max_bytes().filter(|max| bytes <= max / 2) else {
        return Ok(None);
    };
    let _one = match EVICTING.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
        Err(TryLockError::WouldBlock) => return Ok(None),
    };
    disk.flush()?;
    let taken = bytes + disk.reserved();
    // A little more than is needed, so that the next one finds room at once.
    evict(disk, (max / 100 * 95).saturating_sub(taken))?;
    Ok(disk.reserve(bytes).ok())
}

/// Removes copies until no more than so many bytes are left.
fn evict(disk: &Disk, low: u64) -> Result<(), StorageError> {
    while disk.used() > low {
        let unused = disk.index().unused_content(BATCH, i64::MAX)?;
        if unused.is_empty() {
            return Ok(());
        }
        for object in unused {
            if disk.used() <= low {
                break;
            }
            disk.remove(&content(object.key))?;
        }
    }
    Ok(())
}
