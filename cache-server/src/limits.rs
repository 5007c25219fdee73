use std::time::Duration;

/// What one client may take from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// A connection on which no request begins, or whose head does not end, is closed.
    pub idle: Duration,
    /// A body that sends nothing, or takes nothing, for so long is given up.
    pub silence: Duration,
    /// Bytes a second that a body must make on the average, once `silence` has passed.
    pub rate: u64,
    /// Uploads that one token may have open.
    pub uploads: usize,
    /// Bytes that the open uploads of one token may declare together.
    pub upload_bytes: u64,
    /// Bytes of those bodies of one token that are read into memory: questions, claims, logs.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            idle: Duration::from_secs(75),
            silence: Duration::from_secs(30),
            rate: 1024,
            uploads: 512,
            upload_bytes: 64 << 30,
            body_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// Bodies that are read into memory. They are many and small, so only their bytes count.
    pub(crate) fn bodies(&self) -> Self {
        Self {
            uploads: usize::MAX,
            upload_bytes: self.body_bytes,
            ..*self
        }
    }

    /// On a connection on which no byte moves for so long nobody waits for anything: each request is
    /// answered within the half of that.
    pub(crate) fn unmoved(&self) -> Duration {
        self.idle + self.silence
    }

    /// Bytes that a body must have made after so long.
    pub(crate) fn due(&self, passed: Duration) -> u64 {
        let milliseconds = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.rate.saturating_mul(milliseconds) / 1000
    }
}
