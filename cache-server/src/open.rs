//! From a configuration to a server that can answer.

use crate::storage::{Backing, Disk, Storage, StorageError};
use crate::upstream::{Upstream, UpstreamConfig};
use crate::{App, Config};
use acetate_stdx::atomic::Durability;
use acetate_stdx::clock::Clock;
use std::sync::Arc;

/// Opens the directory of a configuration, which holds all objects.
///
/// # Errors
/// When it cannot be used, or another server uses it.
pub fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<App>, StorageError> {
    let disk = Arc::new(disk(&config, Arc::clone(&clock))?);
    let storage = Storage::of_disk(Arc::clone(&disk));
    Ok(Arc::new(App::new(config, disk, storage, clock)))
}

/// Opens the directory of a configuration and what stands behind and above it.
///
/// # Errors
/// When one of them cannot be used; the upstream is not asked before it is needed.
pub async fn open_with(
    mut config: Config,
    backing: Backing,
    upstream: Option<UpstreamConfig>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<App>, StorageError> {
    if matches!(backing, Backing::Bucket { .. }) {
        // Copies may go at any time: an upload that is about to name them finds them in the bucket.
        config.marks.grace_secs = 0;
    }
    let disk = Arc::new(disk(&config, Arc::clone(&clock))?);
    let mut storage = Storage::open(Arc::clone(&disk), backing).await?;
    if let Some(upstream) = upstream {
        storage = storage.below(Upstream::new(upstream));
    }
    Ok(Arc::new(App::new(config, disk, storage, clock)))
}

fn disk(config: &Config, clock: Arc<dyn Clock>) -> Result<Disk, StorageError> {
    let disk = Disk::open(&config.dir, config.max_bytes, clock)?;
    Ok(match config.durability {
        Durability::Fast => disk.unsynced(),
        Durability::Synced => disk,
    })
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        // An interrupted call is made again, and nothing else happens to so few bytes.
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
