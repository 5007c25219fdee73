//! The value of `RUN --mount=`.

use crate::span::{Span, Spanned};

/// A `--mount` flag: its fields, checked as far as that is possible before expansion.
///
/// [`MountSpec::resolve`] (in [`crate::mount`]) expands the values and gives the typed [`Mount`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// The whole value of the flag.
    pub raw: Spanned<String>,
    /// The comma-separated fields in order.
    pub fields: Vec<MountField>,
}

/// A `key=value` field, or a bare `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountField {
    /// The key in lower case.
    pub key: String,
    /// The unexpanded value; none for a bare key.
    pub value: Option<String>,
    /// The field's place: the whole flag value when quotes or escapes make it inexact.
    pub span: Span,
}

/// The types of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum MountKind {
    /// Files of a stage, image or context; the default.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// Memory, discarded after the step.
    Tmpfs,
    /// A secret as file or variable.
    Secret,
    /// The socket of an SSH agent.
    Ssh,
}

impl MountKind {
    /// Returns the word used in Dockerfiles.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// How steps share a cache mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum MountSharing {
    /// Writers at the same time; the default.
    #[default]
    Shared,
    /// A new directory when the other is busy.
    Private,
    /// The second writer waits.
    Locked,
}

/// A mount with expanded and checked values.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mount {
    /// The type.
    pub kind: MountKind,
    /// `from`: stage, named context or image.
    pub from: Option<String>,
    /// `source`: path below `from`.
    pub source: Option<String>,
    /// `target`; defaults that depend on the type are the plan's business.
    pub target: Option<String>,
    /// Whether the mount is read-only, after the defaults of the type (bind, secret and ssh are).
    pub read_only: bool,
    /// `id`.
    pub id: Option<String>,
    /// `sharing`.
    pub sharing: MountSharing,
    /// `required`.
    pub required: bool,
    /// `size` of a tmpfs in bytes.
    pub size: Option<u64>,
    /// `mode`.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
    /// `env`: the variable that holds a secret.
    pub env: Option<String>,
}
