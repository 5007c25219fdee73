//! Points at which a test lets the server die.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The point at which to die, and how often it is passed before.
#[derive(Debug)]
pub(crate) struct FailPoint {
    name: String,
    left: AtomicU32,
}

impl FailPoint {
    /// True when this is the point, and it was passed often enough.
    pub(crate) fn reached(&self, name: &str) -> bool {
        self.name == name && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

/// What `ACETATE_FAIL_POINT=NAME:TIMES` says.
pub(crate) fn fail_point() -> Option<&'static FailPoint> {
    static POINT: OnceLock<Option<FailPoint>> = OnceLock::new();
    POINT.get_or_init(read).as_ref()
}

#[expect(
    clippy::disallowed_methods,
    reason = "only tests set it, on a process that they start"
)]
fn read() -> Option<FailPoint> {
    let text = std::env::var("ACETATE_FAIL_POINT").ok()?;
    let (name, times) = text.split_once(':')?;
    Some(FailPoint {
        name: name.to_owned(),
        left: AtomicU32::new(times.parse().ok()?),
    })
}
