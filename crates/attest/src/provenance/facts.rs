use std::collections::BTreeMap;

use acetate_oci::{Platform, Timestamp};

use super::{Definition, Materials};
use crate::DigestSet;

/// What is known of a build for one platform when it is over.
///
/// Everything may be filled in whatever the mode: the mode decides what is written.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What read the Dockerfile: `dockerfile.v0`.
    pub frontend: String,
    /// Where the Dockerfile came from.
    pub config: ConfigSource,
    /// The build arguments that were given, by name.
    pub build_args: BTreeMap<String, String>,
    /// The labels that were given, by name.
    pub labels: BTreeMap<String, String>,
    /// The target stage, when one was given.
    pub target: Option<String>,
    /// Other settings of the frontend by BuildKit's names, such as `no-cache` or `context:base`.
    pub other_args: BTreeMap<String, String>,
    /// Secrets that steps name; never their values.
    pub secrets: Vec<NeededId>,
    /// SSH agents that steps name.
    pub ssh: Vec<NeededId>,
    /// Local inputs by name: `context`, `dockerfile`, and those of named contexts.
    pub locals: Vec<String>,
    /// What a version control system said of a local context: `source` and `revision`.
    pub vcs: BTreeMap<String, String>,
    /// What came from outside.
    pub materials: Materials,
    /// Whether something came in that no material names.
    pub incomplete: bool,
    /// Whether a step had a network.
    pub network: bool,
    /// What the build ran on.
    pub builder_platform: Platform,
    /// A name for this build, the same for all of its platforms.
    pub invocation_id: Option<String>,
    /// When it began; none, or the epoch, when the output is to be reproducible.
    pub started: Option<Timestamp>,
    /// When it ended; likewise.
    pub finished: Option<Timestamp>,
    /// The steps and the Dockerfile, for [`super::Mode::Max`].
    pub definition: Option<Definition>,
}

impl Facts {
    /// Facts with nothing known but what read the Dockerfile and where.
    pub fn new(frontend: &str, builder_platform: Platform) -> Self {
        Self {
            frontend: frontend.to_owned(),
            config: ConfigSource::default(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            target: None,
            other_args: BTreeMap::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            locals: Vec::new(),
            vcs: BTreeMap::new(),
            materials: Materials::default(),
            incomplete: false,
            network: false,
            builder_platform,
            invocation_id: None,
            started: None,
            finished: None,
            definition: None,
        }
    }

    /// The same facts without what differs between two runs of one build.
    ///
    /// Times become the epoch, or go when there is none, and the invocation has no name.
    #[must_use]
    pub fn reproducible(mut self, epoch: Option<Timestamp>) -> Self {
        self.invocation_id = None;
        self.started = epoch;
        self.finished = epoch;
        self
    }
}

/// Where a Dockerfile came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigSource {
    /// The remote context; none for a local one.
    pub uri: Option<String>,
    /// What the remote context was: `sha1` and the commit, or `sha256` of an archive.
    pub digest: DigestSet,
    /// The file within the context.
    pub path: String,
}

/// Something that steps name, and whether they do without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededId {
    /// Its id.
    pub id: String,
    /// Whether all steps that name it do without.
    pub optional: bool,
}
