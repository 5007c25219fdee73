use crate::span::Span;
use acetate_oci::{Digest, ImageConfig, Platform, Reference};
use std::collections::BTreeMap;

/// What is known so far about the outside world.
///
/// [`plan()`](crate::plan()) names what is missing, the caller finds it out and asks again.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// Images that were resolved.
    pub images: BTreeMap<ImageNeed, PinnedImage>,
    /// Selected files that were hashed.
    pub selections: BTreeMap<SelectionSpec, Digest>,
}

/// One fact that a plan cannot be made without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The manifest and config of an image, and where it is first asked for.
    Image(ImageNeed, Span),
    /// The digest of the files that one COPY or ADD takes from a context, and where it stands.
    Selection(SelectionSpec, Span),
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
    /// Patterns of `--exclude`, relative to each copied root. Empty while it is not lowered.
    pub excludes: Vec<String>,
    /// `--parents`: the directory chain is part of the selection. False while it is not lowered.
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
