use rustix::fs::Stat;

/// A file changed less than this many seconds ago could change again within the same tick of the
/// file system's clock, and then look the same.
const SETTLED_SECS: i64 = 2;

/// What the file system says about a file: device, inode, size, and the times of its last
/// modification and of its last change of any kind, in nanoseconds.
///
/// Nobody can set the last one, so equal fingerprints mean equal bytes, also where a tool put an old
/// modification time back. That holds only for files that have [settled](Self::is_settled).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    pub(crate) fn of(stat: &Stat) -> Self {
        let nanos = |nanos| i64::try_from(nanos).unwrap_or(0);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// True when the file did not change in the seconds before `now`.
    pub(crate) fn is_settled(&self, now: i64) -> bool {
        self.changed.0.saturating_add(SETTLED_SECS) < now
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// The same as bytes, to be a part of the name of a remembered digest.
    pub fn bytes(&self) -> Vec<u8> {
        let numbers = [
            self.device.to_le_bytes(),
            self.inode.to_le_bytes(),
            self.size.to_le_bytes(),
            self.modified.0.to_le_bytes(),
            self.modified.1.to_le_bytes(),
            self.changed.0.to_le_bytes(),
            self.changed.1.to_le_bytes(),
        ];
        numbers.concat()
    }
}
