use crate::span::Span;
use acetate_graph::SourceOp;
use acetate_oci::{Digest, ImageConfig, Platform, Reference};
use std::collections::{BTreeMap, HashMap};

/// What is known so far about the outside world.
///
/// [`plan()`](crate::plan()) names what is missing, the caller finds it out and asks again.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// Images that were resolved.
    pub images: BTreeMap<ImageNeed, PinnedImage>,
    /// Selected files that were hashed.
    pub selections: HashMap<SelectionSpec, Digest>,
    /// Files and repositories that were fetched.
    pub remotes: BTreeMap<RemoteNeed, PinnedRemote>,
}

/// One fact that a plan cannot be made without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The manifest and config of an image, and where it is first asked for.
    Image(ImageNeed, Span),
    /// The digest of the files that one COPY or ADD takes from a context, and where it stands.
    Selection(SelectionSpec, Span),
    /// What stands behind a URL, and where it is first asked for.
    Remote(RemoteNeed, Span),
}

/// Something that is fetched, but is no image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemoteNeed {
    /// A context that is no local directory: an archive or a repository. The named context of this
    /// key in [`PlanRequest::contexts`](crate::PlanRequest::contexts); empty is the main one.
    Context(String),
    /// One file.
    Http {
        /// Its address, as the user wrote it.
        url: String,
        /// `--checksum`: what its bytes must be.
        checksum: Option<Digest>,
    },
    /// A repository.
    Git(GitNeed),
}

/// A repository at some commit.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the address that is on or off"
)]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitNeed {
    /// Where it is: `https://host/x.git`, `ssh://git@host/x`, `git@host:x`.
    pub remote: String,
    /// A branch, a tag, a full reference or a commit; none is the default branch.
    pub reference: Option<String>,
    /// `checksum` or `commit` of the query, or `--checksum`: a commit or the beginning of one.
    pub checksum: Option<String>,
    /// The directory taken, relative to the top; empty is all of it.
    pub subdir: String,
    /// Whether `.git` stays.
    pub keep_git_dir: bool,
    /// Whether submodules are brought in.
    pub submodules: bool,
    /// Whether files carry the time of the commit.
    pub commit_times: bool,
    /// Whether the commit is fetched by its name, without asking for the reference.
    pub fetch_by_commit: bool,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedRemote {
    /// The vertex that brings it in: a download or a repository.
    pub source: SourceOp,
    /// Whether a download is an archive whose content is meant.
    pub unpack: bool,
    /// The time that it stands for, in seconds: of the commit, of its last change, of the newest
    /// entry of an archive.
    pub time: Option<i64>,
}

/// An image to be resolved for one platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageNeed {
    /// Where it comes from.
    pub source: ImageSource,
    /// For which platform.
    pub platform: Platform,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageSource {
    /// A registry.
    Registry(Reference),
    /// The named context of this key in [`PlanRequest::contexts`](crate::PlanRequest::contexts),
    /// which is an OCI layout.
    Context(String),
}

/// An image that was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage {
    /// The digest of the manifest for the platform, never of an index.
    pub manifest: Digest,
    /// The platform that the manifest is for.
    pub platform: Platform,
    /// Its config, byte for byte what the registry holds.
    pub config: ImageConfig,
    /// How many layers it has.
    pub n_layers: usize,
}

/// The files that one COPY or ADD takes from a context, as its digest sees them.
///
/// The digest has one part per entry of `sources`, in order, so a copy refers to a *slot* and never to
/// a path of the context: of a file only its base name counts, of a directory only what is below it,
/// of a wildcard the base names of its hits (S75).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectionSpec {
    /// The named context, by its key in the request; empty for the main one.
    pub context: String,
    /// Cleaned patterns relative to the context's root, in the order written; `.` is the root.
    /// A pattern without wildcard that finds nothing is an error, a wildcard without hits is not.
    pub sources: Vec<String>,
    /// Patterns of `--exclude`, relative to each copied root.
    pub excludes: Vec<String>,
    /// `--parents`: the directory chain is part of the selection.
    pub parents: bool,
    /// Which attributes count.
    pub flavour: Flavour,
}

/// Which attributes of the files belong to a selection's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flavour {
    /// The owner; false under `--chown`.
    pub keep_owner: bool,
    /// The permission bits; false under an octal `--chmod`.
    pub keep_mode: bool,
}

impl Default for Flavour {
    fn default() -> Self {
        Self {
            keep_owner: true,
            keep_mode: true,
        }
    }
}
