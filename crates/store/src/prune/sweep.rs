//! Removing what dead processes left behind.

use acetate_stdx::lock::{FileLock, Sharing, Target};

use super::Ctx;
use crate::{StoreError, trash, usage};

impl Ctx<'_> {
    /// Finishes removals that were interrupted.
    pub(super) fn sweep_trash(&mut self) -> Result<(), StoreError> {
        for (_, path) in usage::entries(&self.root.trash())? {
            let tally = self.remove(&path);
            self.report.trash += tally;
        }
        Ok(())
    }

    /// Removes unfinished objects whose lock is free; age says nothing.
    pub(super) fn sweep_temporary(&mut self) -> Result<(), StoreError> {
        for (_, path) in usage::entries(&self.root.tmp())? {
            match FileLock::acquire_now(&path, Target::Existing, Sharing::Exclusive) {
                Ok(Some(_dead)) => {
                    // Removed under its lock: its maker cannot lock it and make another one.
                    let hidden = match trash::hide(self.root, &path) {
                        Err(error) if error.is_full() => Ok(path.clone()),
                        outcome => outcome,
                    };
                    match hidden {
                        Ok(hidden) => {
                            let tally = self.remove(&hidden);
                            self.report.temporary += tally;
                        }
                        Err(error) => self.fail(&path, &error),
                    }
                }
                Ok(None) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => self.fail(&path, &error),
            }
        }
        Ok(())
    }

    /// Removes lock files that nobody holds; waiters notice that theirs has lost its name.
    pub(super) fn sweep_locks(&mut self) -> Result<(), StoreError> {
        for (name, path) in usage::entries(&self.root.locks())? {
            // Every opener of the index needs this one: removing it would only cause work.
            if name == "index" {
                continue;
            }
            let lock = FileLock::acquire_now(&path, Target::Existing, Sharing::Exclusive);
            let outcome = match lock {
                Ok(Some(free)) => free.remove(),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome
                && error.kind() != std::io::ErrorKind::NotFound
            {
                self.fail(&path, &error);
            }
        }
        Ok(())
    }
}
