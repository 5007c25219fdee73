use super::changes::Changes;
use super::keys::Keys;
use super::touched::Touched;
use super::unsynced::Unsynced;
use super::upload::{Finished, Upload, fail_point};
use super::{Condition, Index, Object, Put, StorageError, Stored};
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use acetate_stdx::atomic::Durability;
use acetate_stdx::clock::Clock;
use acetate_stdx::lock::{FileLock, Sharing, Target};
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tree of more bytes is nobody's list of chunks.
const MAX_TREE: u64 = 16 << 20;
/// Most records have fewer bytes.
const USUAL_RECORD: usize = 8 << 10;

/// Objects on a disk.
#[derive(Debug)]
pub struct Disk {
    pub(super) dir: PathBuf,
    pub(super) index: Index,
    clock: Arc<dyn Clock>,
    /// Bytes of all objects, and those that uploads may still write.
    used: AtomicU64,
    reserved: AtomicU64,
    max_bytes: Option<u64>,
    sync: Durability,
    touched: Touched,
    changes: Changes,
    keys: Keys,
    pub(super) unsynced: Unsynced,
    _lock: FileLock,
}

/// An object that was found.
#[derive(Debug)]
pub struct Found {
    /// Its bytes.
    pub file: File,
    /// How many there are.
    pub size: u64,
}

/// Room for an upload; given back when it ends.
#[derive(Debug)]
pub struct Reservation {
    disk: Arc<Disk>,
    bytes: u64,
}

impl Disk {
    /// Opens a directory, making it when it is missing. `max_bytes` is what objects may use together.
    pub fn open(
        dir: &Path,
        max_bytes: Option<u64>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for sub in ["cas", "ac", "tmp"] {
            let path = dir.join(sub);
            let made = builder.create(&path);
            made.map_err(|error| StorageError::io("make", &path, error))?;
        }
        let path = dir.join("lock");
        let lock = FileLock::acquire_now(&path, Target::File, Sharing::Exclusive);
        let lock = lock.map_err(|error| StorageError::io("lock", &path, error))?;
        let lock = lock.ok_or_else(|| StorageError::Busy(dir.to_owned()))?;
        // The lock is ours, so whoever made these is dead.
        empty(&dir.join("tmp"))?;
        let (index, is_new) = Index::open(&dir.join("index.sqlite"))?;
        let disk = Self {
            dir: dir.to_owned(),
            index,
            clock,
            used: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            max_bytes,
            sync: Durability::Synced,
            touched: Touched::default(),
            changes: Changes::default(),
            keys: Keys::default(),
            unsynced: Unsynced::default(),
            _lock: lock,
        };
        if !disk.was_closed() || is_new {
            // Whatever the last server left to be synced.
            disk.sync()?;
            disk.reconcile()?;
        }
        let used = disk.index.sum(Kind::Action)?.bytes + disk.index.sum(Kind::Content)?.bytes;
        disk.used.store(used, Ordering::Relaxed);
        Ok(disk)
    }

    /// Leaves it to the kernel when content reaches the disk. Records are synced all the same: an
    /// empty file would be a valid record of nothing.
    pub fn unsynced(mut self) -> Self {
        self.sync = Durability::Fast;
        self
    }

    /// What to remove first.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The time.
    pub fn now(&self) -> i64 {
        self.clock.now().0
    }

    /// Bytes of all objects.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that all objects may use together.
    pub fn max_bytes(&self) -> Option<u64> {
        self.max_bytes
    }

    /// Where an object is kept. Content of all namespaces is one collection.
    pub(super) fn path(&self, route: &Route) -> PathBuf {
        let hex = route.key.hex();
        let mut path = match route.kind {
            Kind::Content => self.dir.join("cas"),
            Kind::Action => self.ac_dir(&route.namespace),
        };
        path.reserve(hex.len() + 4);
        path.push(&hex[..2]);
        path.push(hex);
        path
    }

    /// A namespace's directory is the hash of its name: no name can lead out of it or be too long.
    pub(super) fn ac_dir(&self, namespace: &Namespace) -> PathBuf {
        let name = Digest::of(namespace.as_str().as_bytes()).hex();
        self.dir.join("ac").join(name)
    }

    /// Reads a record of at most so many bytes; its use is noted.
    ///
    /// Most records are small, so that one call gives all and says that there is no more.
    pub fn read_record(&self, route: &Route, most: u64) -> Result<Option<Stored>, StorageError> {
        let path = self.path(route);
        let io = |error| StorageError::io("read", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut bytes = vec![0; USUAL_RECORD];
        let n = file.read_at(&mut bytes, 0).map_err(io)?;
        bytes.truncate(n);
        if n == USUAL_RECORD {
            let mut file = io::Read::take(&file, most + 1);
            bytes.clear();
            io::Read::read_to_end(&mut file, &mut bytes).map_err(io)?;
        }
        self.touch(route);
        Ok((bytes.len() as u64 <= most).then(|| Stored::plain(bytes)))
    }

    /// Opens an object; its use is noted.
    pub fn open_object(&self, route: &Route) -> Result<Option<Found>, StorageError> {
        let path = self.path(route);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("open", &path, error)),
        };
        let metadata = file.metadata();
        let size = metadata
            .map_err(|error| StorageError::io("look at", &path, error))?
            .len();
        self.touch(route);
        Ok(Some(Found { file, size }))
    }

    /// The size of an object, if it is here. A use only where a record was asked for.
    pub fn size_of(&self, route: &Route) -> Option<u64> {
        std::fs::metadata(self.path(route)).ok().map(|m| m.len())
    }

    /// What of this content is not here, in the order of the question; what is here counts as used.
    pub(super) fn without(&self, mut digests: Vec<Digest>) -> Vec<Digest> {
        digests.retain(|digest| {
            let route = super::content(*digest);
            let is_here = self.size_of(&route).is_some();
            if is_here {
                self.touch(&route);
            }
            !is_here
        });
        digests
    }

    /// Notes a use, to be written down with many others.
    pub fn touch(&self, route: &Route) {
        self.touched.note(route);
    }

    /// Writes down the uses that were noted.
    pub fn flush(&self) -> Result<(), StorageError> {
        let touched = self.touched.take();
        if touched.is_empty() {
            return Ok(());
        }
        self.index.touch(&touched, self.now())
    }

    /// A number that grows whenever a record may be another one or incomplete.
    pub fn changes(&self, record: &Digest) -> u64 {
        self.changes.of(record)
    }

    /// Sets room aside for an upload before any of it is written.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StorageError> {
        if let Some(max) = self.max_bytes {
            let claimed = self.reserved.fetch_add(bytes, Ordering::SeqCst) + bytes;
            if self.used() + claimed > max {
                self.reserved.fetch_sub(bytes, Ordering::SeqCst);
                return Err(StorageError::Full(bytes));
            }
        } else {
            self.reserved.fetch_add(bytes, Ordering::SeqCst);
        }
        let disk = Arc::clone(self);
        Ok(Reservation { disk, bytes })
    }

    /// Bytes that may still be written.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::SeqCst)
    }

    /// Begins to write an object.
    pub fn upload(&self) -> Result<Upload, StorageError> {
        Upload::create(&self.dir.join("tmp"))
    }

    /// Makes content visible, under the digest that its bytes have.
    pub fn publish(&self, content: Finished) -> Result<(), StorageError> {
        let route = super::content(content.digest());
        self.appear(content, &route, self.sync, 0, &[])
    }

    /// Writes a record when the condition holds, which nobody can change in between: one server
    /// owns the directory. `saved_ms` is what a hit saves, `refs` is the content that it names.
    pub fn put_record(
        self: &Arc<Self>,
        route: &Route,
        body: &[u8],
        saved_ms: u64,
        refs: &[Digest],
        condition: &Condition,
    ) -> Result<Put, StorageError> {
        let _room = self.reserve(body.len() as u64)?;
        self.name(&route.namespace)?;
        let mut upload = self.upload()?;
        upload.write(body)?;
        let finished = upload.finish();
        let _key = self.keys.hold(&route.key);
        if !self.holds(route, condition)? {
            return Ok(Put::Changed);
        }
        // What it names stays as long as it does, and it is kept before anybody is told.
        self.unsynced.settle()?;
        self.appear(finished, route, Durability::Synced, saved_ms, refs)?;
        self.unsynced.settle()?;
        Ok(Put::Written)
    }

    fn holds(&self, route: &Route, condition: &Condition) -> Result<bool, StorageError> {
        let path = self.path(route);
        let there = match condition {
            Condition::Any => return Ok(true),
            Condition::Absent => {
                let there = path.try_exists();
                return Ok(!there.map_err(|error| StorageError::io("look at", &path, error))?);
            }
            Condition::Replaces(there) => there,
        };
        match std::fs::read(&path) {
            Ok(bytes) => Ok(bytes == there.body),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StorageError::io("read", &path, error)),
        }
    }

    fn appear(
        &self,
        finished: Finished,
        route: &Route,
        sync: Durability,
        saved_ms: u64,
        refs: &[Digest],
    ) -> Result<(), StorageError> {
        let size = finished.publish(&self.path(route), sync, &self.unsynced)?;
        if route.kind == Kind::Action {
            self.changes.count(route);
        }
        let object = self.object(route, size);
        let before = self.index.put(&object, saved_ms, refs)?;
        self.used.fetch_add(size, Ordering::Relaxed);
        if let Some(before) = before {
            self.used
                .fetch_sub(before.min(self.used()), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes an object.
    pub fn remove(&self, route: &Route) -> Result<bool, StorageError> {
        let _key = (route.kind == Kind::Action).then(|| self.keys.hold(&route.key));
        let path = self.path(route);
        let there = match std::fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(StorageError::io("remove", &path, error)),
        };
        if there {
            self.changes.count(route);
        }
        fail_point("after-remove");
        let size = self
            .index
            .remove(&self.object(route, 0).namespace, route.kind, &route.key)?;
        if let Some(size) = size {
            self.used
                .fetch_sub(size.min(self.used()), Ordering::Relaxed);
        }
        Ok(there)
    }

    pub(super) fn object(&self, route: &Route, size: u64) -> Object {
        let namespace = match route.kind {
            Kind::Action => route.namespace.clone(),
            Kind::Content => Namespace::root(),
        };
        Object {
            namespace,
            kind: route.kind,
            key: route.key,
            size,
            used: self.now(),
        }
    }

    /// What a record saves and which content it names, that of its trees included; none when it is
    /// no record of that kind, or a tree of it is not here.
    pub fn needs(&self, body: &[u8]) -> Option<(u64, Vec<Digest>)> {
        let trees = |tree: &Digest| {
            let found = self.open_object(&super::content(*tree)).ok()??;
            (found.size <= MAX_TREE)
                .then(|| {
                    let mut bytes = Vec::new();
                    io::Read::read_to_end(&mut &found.file, &mut bytes).map(|_| bytes)
                })?
                .ok()
        };
        crate::record::needs(body, trees)
    }

    /// The name of a namespace stands beside its records, so that a lost index loses none.
    fn name(&self, namespace: &Namespace) -> Result<(), StorageError> {
        let dir = self.ac_dir(namespace);
        let path = dir.join("name");
        if path.exists() {
            return Ok(());
        }
        let io = |error| StorageError::io("write", &path, error);
        std::fs::create_dir_all(&dir).map_err(io)?;
        let text = namespace.to_string();
        acetate_stdx::atomic::publish(&path, text.as_bytes(), Durability::Synced).map_err(io)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.disk.reserved.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// Removes everything below a directory.
fn empty(dir: &Path) -> Result<(), StorageError> {
    let removed = std::fs::remove_dir_all(dir)
        .and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(dir));
    removed.map_err(|error| StorageError::io("empty", dir, error))
}
