use crate::Limits;
use crate::auth::{Policy, Trust};
use crate::gc::Marks;
use acetate_cache_api::Namespace;
use acetate_stdx::atomic::Durability;
use std::path::PathBuf;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where objects are kept.
    pub dir: PathBuf,
    /// Bytes that all objects may use together; none is the whole disk.
    pub max_bytes: Option<u64>,
    /// When room is made.
    pub marks: Marks,
    /// Who may do what.
    pub policy: Policy,
    /// Who is believed besides.
    pub trust: Trust,
    /// Namespaces, with all below them, whose records are bytes that nobody looks into: what ccache
    /// keeps.
    pub opaque: Vec<Namespace>,
    /// Namespaces in which every path is an object: what `WebDAV` clients such as sccache keep.
    pub raw: Vec<Namespace>,
    /// The hosts that requests may name, when only those may; guards an open server on loopback
    /// against pages of other sites (DNS rebinding).
    pub only_hosts: Option<Vec<String>>,
    /// What one client may take from the others.
    pub limits: Limits,
    /// Whether uploads of content wait until their bytes are on the disk.
    pub durability: Durability,
}

impl Config {
    /// True when records of this namespace are results of actions, to be checked.
    pub fn is_checked(&self, namespace: &Namespace) -> bool {
        let is_raw = self.raw.contains(namespace);
        is_raw || !self.opaque.iter().any(|opaque| namespace.is_within(opaque))
    }
}
