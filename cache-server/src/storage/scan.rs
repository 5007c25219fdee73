//! Looking at all files: after a server that did not end in order, and to verify.

use super::{Disk, StorageError, content};
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::{Digest, DigestHasher};
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

/// Its presence says that the index knows all files.
const CLOSED: &str = "closed";

impl Disk {
    /// Writes down the uses that were noted, and that nothing was left half done.
    pub fn close(&self) -> Result<(), StorageError> {
        self.flush()?;
        self.unsynced.settle()?;
        let path = self.dir.join(CLOSED);
        std::fs::write(&path, "").map_err(|error| StorageError::io("write", &path, error))
    }

    /// True when the last server ended in order; from now on this one must, too.
    pub(super) fn was_closed(&self) -> bool {
        std::fs::remove_file(self.dir.join(CLOSED)).is_ok()
    }

    /// Waits until all content that is here is on the disk; there is none in a new directory.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        let io = |error| StorageError::io("sync", &self.dir, error);
        let mut shards = std::fs::read_dir(self.dir.join("cas")).map_err(io)?;
        if shards.next().is_none() {
            return Ok(());
        }
        let dir = File::open(&self.dir).map_err(io)?;
        rustix::fs::syncfs(&dir).map_err(|error| io(error.into()))
    }

    /// Adds files that the index does not know, which a killed server left or which were there before
    /// a new index, and forgets those that are gone.
    pub(super) fn reconcile(&self) -> Result<(), StorageError> {
        let mut known = self.index.keys()?;
        for (key, size) in files_of(&self.dir.join("cas"))? {
            let route = content(key);
            if !known.remove(&(route.namespace.clone(), route.kind, key)) {
                self.index.put(&self.object(&route, size), 0, &[])?;
            }
        }
        for namespace in self.namespaces()? {
            for (key, size) in files_of(&self.ac_dir(&namespace))? {
                let kind = Kind::Action;
                if !known.remove(&(namespace.clone(), kind, key)) {
                    let namespace = namespace.clone();
                    let route = Route {
                        namespace,
                        kind,
                        key,
                    };
                    self.add_record(&route, size)?;
                }
            }
        }
        for (namespace, kind, key) in known {
            self.index.remove(&namespace, kind, &key)?;
        }
        Ok(())
    }

    fn add_record(&self, route: &Route, size: u64) -> Result<(), StorageError> {
        let path = self.path(route);
        let body = std::fs::read(&path).map_err(|error| StorageError::io("read", &path, error))?;
        let (saved_ms, refs) = self.needs(&body).unwrap_or_default();
        self.index.put(&self.object(route, size), saved_ms, &refs)?;
        Ok(())
    }

    /// All namespaces that ever had a record.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, StorageError> {
        let dir = self.dir.join("ac");
        let io = |error| StorageError::io("list", &dir, error);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(io)? {
            let name = std::fs::read_to_string(entry.map_err(io)?.path().join("name"));
            found.extend(name.ok().and_then(|name| name.parse::<Namespace>().ok()));
        }
        found.sort();
        Ok(found)
    }

    /// Hashes all content and removes what is damaged; gives the numbers of sound and damaged objects.
    pub fn verify(&self) -> Result<(u64, u64), StorageError> {
        self.verify_while(|_, _| ControlFlow::Continue(()))
    }

    /// The same, telling after each object how many were sound and damaged so far; what is told may
    /// end it.
    pub fn verify_while(
        &self,
        mut go_on: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<(u64, u64), StorageError> {
        let (mut sound, mut damaged) = (0, 0);
        for (key, _) in files_of(&self.dir.join("cas"))? {
            let route = content(key);
            let path = self.path(&route);
            let found = match hash_file(&path) {
                Ok(found) => found,
                // It was removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StorageError::io("read", &path, error)),
            };
            if found == key {
                sound += 1;
            } else {
                damaged += 1;
                self.remove(&route)?;
            }
            if go_on(sound, damaged).is_break() {
                break;
            }
        }
        Ok((sound, damaged))
    }
}

fn hash_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = DigestHasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..n]);
    }
}

/// The objects of a collection, by the shards that they are in.
fn files_of(dir: &Path) -> Result<Vec<(Digest, u64)>, StorageError> {
    let mut found = Vec::new();
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| StorageError::io("list", &path, error)
    };
    for shard in std::fs::read_dir(dir).map_err(io(dir))? {
        let shard = shard.map_err(io(dir))?.path();
        if !shard.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&shard).map_err(io(&shard))? {
            let file = file.map_err(io(&shard))?;
            let key = file
                .file_name()
                .to_str()
                .and_then(|name| Digest::from_hex(name).ok());
            let size = file.metadata().map_err(io(&shard))?.len();
            found.extend(key.map(|key| (key, size)));
        }
    }
    found.sort();
    Ok(found)
}
