//! The names of records.

use acetate_graph::canonical::CanonicalHasher;
use acetate_graph::{ContentKey, DefinitionKey, OpKey};
use acetate_oci::Digest;
use acetate_store::RecordKey;

/// Which of the three entries of a vertex a key names, or that it names none of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The result, by the op and the definitions of its inputs.
    Definition,
    /// The result, by the op and the content of its inputs.
    Content,
    /// Only says that some result of this op has been recorded.
    Hint,
    /// No result: the directory of a cache mount, which changes under one name.
    Mount,
    /// What a step was made of, in words, for whoever explains a miss.
    Story,
    /// No result: what a layer is when it is compressed in one exact way.
    Form,
}

/// Names one entry: a key of the graph and the output of the vertex, or a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey {
    kind: KeyKind,
    digest: Digest,
    output: u32,
}

impl CacheKey {
    /// Names the result of `output` by definition.
    pub fn definition(key: &DefinitionKey, output: u32) -> Self {
        Self {
            kind: KeyKind::Definition,
            digest: *key.digest(),
            output,
        }
    }

    /// Names the result of `output` by content.
    pub fn content(key: &ContentKey, output: u32) -> Self {
        Self {
            kind: KeyKind::Content,
            digest: *key.digest(),
            output,
        }
    }

    /// Names the hint that some result of the op has been recorded.
    pub fn hint(key: &OpKey) -> Self {
        Self {
            kind: KeyKind::Hint,
            digest: *key.digest(),
            output: 0,
        }
    }

    /// Names the directory of a cache mount by what makes two mounts the same.
    pub fn mount(identity: &Digest) -> Self {
        Self {
            kind: KeyKind::Mount,
            digest: *identity,
            output: 0,
        }
    }

    /// Names the story of a step by what usually stays of it.
    pub fn story(finder: &Digest) -> Self {
        Self {
            kind: KeyKind::Story,
            digest: *finder,
            output: 0,
        }
    }

    /// Names the compressed form of a layer by the digest of its tar, and by what names compressor,
    /// version and level.
    pub fn form(diff_id: &Digest, recipe: &str) -> Self {
        let mut hasher = CanonicalHasher::new("acetate/form/v1");
        hasher.digest(diff_id).text(recipe);
        Self {
            kind: KeyKind::Form,
            digest: hasher.finish(),
            output: 0,
        }
    }

    /// The key with these parts, as they were written down somewhere.
    pub(crate) fn from_parts(kind: KeyKind, digest: Digest, output: u32) -> Self {
        Self {
            kind,
            digest,
            output,
        }
    }

    /// Which entry this is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key of the graph, the identity of the cache mount, or what the form is of.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The output of the vertex; 0 for a hint and for a mount.
    pub fn output(&self) -> u32 {
        self.output
    }

    pub(crate) fn record_key(&self) -> RecordKey {
        // Numbers on the disk: they never change their meaning.
        let space = match self.kind {
            KeyKind::Definition => 0,
            KeyKind::Content => 1,
            KeyKind::Hint => 2,
            KeyKind::Mount => 3,
            KeyKind::Story => 4,
            KeyKind::Form => 5,
        };
        RecordKey {
            space,
            key: *self.digest.as_bytes(),
            output: self.output,
        }
    }
}
