use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use acetate_oci::Digest;

use crate::canonical::CanonicalHasher;
use crate::key::domain;

/// The environment of a process: `NAME=value` in order.
///
/// Steps that follow one another mostly have the same one, so clones share it, and it is hashed only
/// once, however many keys it is in. Where one has more than the one before it, they share lines.
#[derive(Clone)]
pub struct Env(Arc<Lines>);

struct Lines {
    lines: Vec<Arc<str>>,
    digest: Digest,
}

impl Env {
    /// Copies of its lines.
    pub fn to_vec(&self) -> Vec<String> {
        self.iter().map(|line| String::from(&**line)).collect()
    }

    /// What keys say of it.
    pub(crate) fn digest(&self) -> &Digest {
        &self.0.digest
    }
}

impl From<Vec<Arc<str>>> for Env {
    fn from(lines: Vec<Arc<str>>) -> Self {
        let mut hasher = CanonicalHasher::new(domain::ENV);
        hasher.list(lines.iter(), |hasher, line| _ = hasher.text(line));
        let digest = hasher.finish();
        Self(Arc::new(Lines { lines, digest }))
    }
}

impl<L: Into<Arc<str>>> FromIterator<L> for Env {
    fn from_iter<I: IntoIterator<Item = L>>(lines: I) -> Self {
        let lines: Vec<Arc<str>> = lines.into_iter().map(Into::into).collect();
        Self::from(lines)
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl Deref for Env {
    type Target = [Arc<str>];

    fn deref(&self) -> &[Arc<str>] {
        &self.0.lines
    }
}

impl PartialEq for Env {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self[..] == other[..]
    }
}

impl Eq for Env {}

impl Hash for Env {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(lines: &[&str]) -> Env {
        lines.iter().copied().collect()
    }

    #[test]
    fn its_lines_and_their_order_count() {
        assert_eq!(env(&["A=1", "B=2"]), env(&["A=1", "B=2"]));
        let digests = [
            env(&[]),
            env(&[""]),
            env(&["A=1", "B=2"]),
            env(&["B=2", "A=1"]),
            env(&["A=1B=2"]),
        ]
        .map(|env| *env.digest());
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
        assert_ne!(env(&["A=1", "B=2"]), env(&["B=2", "A=1"]));
        assert_eq!(Env::default(), env(&[]));
        assert_eq!(format!("{:?}", env(&["A=1"])), r#"["A=1"]"#);
        assert_eq!(env(&["A=1", "B=2"]).to_vec(), ["A=1", "B=2"]);
    }
}
