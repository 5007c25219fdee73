//! Tells how far blobs are.

use acetate_oci::Descriptor;

/// Hears of the bytes of blobs that moved; called often, so it should return at once.
pub trait Progress: Send + Sync {
    /// `n_done` bytes of the blob are done; it can fall when a transfer begins anew. Of a blob that
    /// need not move nothing is heard.
    fn moved(&self, blob: &Descriptor, n_done: u64);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn moved(&self, _: &Descriptor, _: u64) {}
}

impl<F: Fn(&Descriptor, u64) + Send + Sync> Progress for F {
    fn moved(&self, blob: &Descriptor, n_done: u64) {
        self(blob, n_done);
    }
}
