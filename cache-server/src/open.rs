//! From a configuration to a server that can answer.

use crate::storage::{Disk, StorageError};
use crate::{App, Config};
use acetate_stdx::atomic::Durability;
use acetate_stdx::clock::Clock;
use std::sync::Arc;

/// Opens the directory of a configuration.
///
/// # Errors
/// When it cannot be used, or another server uses it.
pub fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<App>, StorageError> {
    let mut disk = Disk::open(&config.dir, config.max_bytes, Arc::clone(&clock))?;
    if matches!(config.durability, Durability::Fast) {
        disk = disk.unsynced();
    }
    Ok(Arc::new(App::new(config, Arc::new(disk), clock)))
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
