//! Flags of instructions, raw and typed.

use crate::ast::mount::MountSpec;
use crate::span::{Span, Spanned};

/// A `--name=value` word as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The name without `--`.
    pub name: Spanned<String>,
    /// The value after `=`, quotes and escapes already removed; none without `=`.
    pub value: Option<Spanned<String>>,
    /// The whole word.
    pub span: Span,
}

/// Flags of COPY.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CopyFlags {
    /// `--from`: stage name, stage index, named context or image; never holds a variable.
    pub from: Option<Spanned<String>>,
    /// `--chown`: unexpanded `user[:group]`.
    pub chown: Option<Spanned<String>>,
    /// `--chmod`: unexpanded octal or symbolic mode.
    pub chmod: Option<Spanned<String>>,
    /// `--link`; `None` when it is not given.
    pub link: Option<Spanned<bool>>,
    /// `--parents`; `None` when it is not given.
    pub parents: Option<Spanned<bool>>,
    /// `--exclude`, repeatable: unexpanded patterns.
    pub excludes: Vec<Spanned<String>>,
}

/// Flags of ADD.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AddFlags {
    /// `--chown`: unexpanded `user[:group]`.
    pub chown: Option<Spanned<String>>,
    /// `--chmod`: unexpanded octal or symbolic mode.
    pub chmod: Option<Spanned<String>>,
    /// `--link`; `None` when it is not given.
    pub link: Option<Spanned<bool>>,
    /// `--exclude`, repeatable: unexpanded patterns.
    pub excludes: Vec<Spanned<String>>,
    /// `--keep-git-dir`; `None` when it is not given.
    pub keep_git_dir: Option<Spanned<bool>>,
    /// `--checksum`: unexpanded digest or commit prefix.
    pub checksum: Option<Spanned<String>>,
    /// `--unpack`; `None` when it is not given, which differs from `false`.
    pub unpack: Option<Spanned<bool>>,
}

/// Flags of RUN.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunFlags {
    /// `--mount`, repeatable.
    pub mounts: Vec<MountSpec>,
    /// `--network`.
    pub network: Option<Spanned<RunNetwork>>,
    /// `--security`.
    pub security: Option<Spanned<RunSecurity>>,
    /// `--device`, repeatable: `name[,required]` as written.
    pub devices: Vec<Spanned<String>>,
}

/// The values of `RUN --network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunNetwork {
    /// The build's network.
    Default,
    /// No network but loopback.
    None,
    /// The host's network; needs an entitlement.
    Host,
}

/// The values of `RUN --security`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunSecurity {
    /// The ordinary sandbox.
    Sandbox,
    /// All capabilities; needs an entitlement.
    Insecure,
}
