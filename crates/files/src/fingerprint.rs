use acetate_oci::Digest;

/// Files below this size are read: that costs no more than remembering them.
pub(crate) const WORTH_REMEMBERING: u64 = 128 * 1024;
/// A file changed less than this many seconds ago could change again within the same tick of the
/// file system's clock, and then look the same.
pub(crate) const SETTLED_SECS: i64 = 2;

/// What the file system says about a file: device, inode, size, and the times of its last
/// modification and of its last change of any kind, in nanoseconds.
///
/// Nobody can set the last one, so equal fingerprints mean equal bytes, also where a tool put an old
/// modification time back. It is taken only of files that did not change in the last seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: (i64, i64),
    pub(crate) changed: (i64, i64),
}

impl Fingerprint {
    /// The same as bytes, to be the name of a remembered digest.
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

/// Remembers the digests of large files from build to build; advisory, like every cache.
pub trait DigestMemory: Sync {
    /// The digests of these files, where they are known.
    fn recall(&self, files: &[Fingerprint]) -> Vec<Option<Digest>>;

    /// Keeps the digests of files that were read.
    fn remember(&self, files: Vec<(Fingerprint, Digest)>);
}
