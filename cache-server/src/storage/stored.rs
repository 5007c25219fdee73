use object_store::UpdateVersion;
use tokio_util::bytes::Bytes;

/// A record as it lies in its storage.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its bytes.
    pub body: Bytes,
    /// What the bucket calls this state of it; none on a disk, where the bytes say it.
    pub(super) version: Option<UpdateVersion>,
}

impl Stored {
    pub(super) fn plain(body: Vec<u8>) -> Self {
        Self {
            body: body.into(),
            version: None,
        }
    }
}

/// When a record is written.
#[derive(Debug, Clone)]
pub enum Condition {
    /// In any case.
    Any,
    /// When there is none, not even an incomplete one.
    Absent,
    /// When there is still this one.
    Replaces(Stored),
}

/// How writing a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Written,
    /// The condition does not hold: somebody else wrote.
    Changed,
}
