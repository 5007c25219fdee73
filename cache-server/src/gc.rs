//! Making room: records first, then content that nothing names any more.

use crate::storage::{Disk, Object, StorageError, fail_point};
use acetate_cache_api::Route;
use std::sync::Arc;
use std::time::Duration;

/// When to begin and when to stop, in shares of the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marks {
    /// Above this share, objects are removed.
    pub high: f64,
    /// Down to this share.
    pub low: f64,
    /// Content that was used within so many seconds stays: an upload may be about to name it.
    pub grace_secs: i64,
    /// Plain age decides, rather than the time that a record saves for its bytes.
    pub lru: bool,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            high: 0.95,
            low: 0.90,
            grace_secs: 3600,
            lru: false,
        }
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Removed {
    /// Records.
    pub records: u64,
    /// Content.
    pub contents: u64,
    /// Bytes of both.
    pub bytes: u64,
}

/// How many objects are asked for at a time.
const BATCH: usize = 64;

/// Removes objects when there are too many bytes.
pub fn collect(disk: &Disk, marks: &Marks) -> Result<Removed, StorageError> {
    let mut removed = Removed::default();
    let Some(max) = disk.max_bytes() else {
        return Ok(removed);
    };
    disk.flush()?;
    if disk.used() <= share(max, marks.high) {
        return Ok(removed);
    }
    let low = share(max, marks.low);
    while disk.used() > low && remove_content(disk, marks, low, &mut removed)? {}
    // Content that was used a moment ago stays for now, but room is made for it to go.
    let mut leaving = disk.index().unnamed_bytes()?;
    while disk.used().saturating_sub(leaving) > low {
        let worst = disk.index().worst_records(BATCH, disk.now(), marks.lru)?;
        if worst.is_empty() {
            break;
        }
        for object in worst {
            leaving += disk.index().bytes_of_its_own(&object)?;
            remove(disk, &object, &mut removed)?;
            fail_point("between-removals");
            removed.records += 1;
            if disk.used().saturating_sub(leaving) <= low {
                break;
            }
        }
    }
    while disk.used() > low && remove_content(disk, marks, low, &mut removed)? {}
    Ok(removed)
}

/// Removes content that no record names; true when there was any.
fn remove_content(
    disk: &Disk,
    marks: &Marks,
    low: u64,
    removed: &mut Removed,
) -> Result<bool, StorageError> {
    let before = disk.now() - marks.grace_secs;
    let unused = disk.index().unused_content(BATCH, before)?;
    for object in &unused {
        if disk.used() <= low {
            break;
        }
        remove(disk, object, removed)?;
        removed.contents += 1;
    }
    Ok(!unused.is_empty())
}

fn remove(disk: &Disk, object: &Object, removed: &mut Removed) -> Result<(), StorageError> {
    let route = Route {
        namespace: object.namespace.clone(),
        kind: object.kind,
        key: object.key,
    };
    disk.remove(&route)?;
    removed.bytes += object.size;
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a mark need not be exact to the byte"
)]
fn share(max: u64, share: f64) -> u64 {
    (max as f64 * share) as u64
}

/// Looks every so often, and writes down what was used, until the task is dropped.
pub async fn run(disk: Arc<Disk>, marks: Marks, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let disk = Arc::clone(&disk);
        let done = acetate_stdx::blocking(move || {
            disk.flush()?;
            collect(&disk, &marks)
        });
        match done.await {
            Ok(removed) if removed != Removed::default() => {
                tracing::info!(?removed, "made room");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "no room was made"),
        }
    }
}
