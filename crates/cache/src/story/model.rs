//! What a story is made of.

use acetate_graph::canonical::CanonicalHasher;
use acetate_oci::Digest;
use serde::{Deserialize, Serialize};

use super::Listing;

/// What entered the key of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// The definition key of the step.
    pub key: Digest,
    /// The formats of the keys that the key is made of.
    pub format: String,
    /// What values are salted with; none where they stand as they are.
    pub salt: Option<Salt>,
    /// The step as messages call it, with nothing filled in: `[build 2/4] RUN make`.
    pub name: String,
    /// The instruction as written.
    pub instruction: StoryInstruction,
    /// The variables that the step sees or that are filled in, in order.
    pub variables: Vec<Variable>,
    /// What else the op says, in order.
    pub fields: Vec<Field>,
    /// What it is given, in the order in which it uses it.
    pub inputs: Vec<Part>,
}

/// The instruction of a step and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryInstruction {
    /// The stage: its name, or `stage-1`.
    pub stage: String,
    /// What the stage starts from, as written.
    pub base: String,
    /// What kind of op it became, since one instruction can become several.
    pub kind: String,
    /// The text with no variable filled in.
    pub text: String,
}

/// A value that may be shown, or a digest that can only be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// The value.
    Plain(String),
    /// A digest of it.
    Hidden(String),
}

/// What makes digests of values worthless to those who guess in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salt(pub [u8; 16]);

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whether it is an ARG rather than ENV.
    pub is_arg: bool,
    /// What it is set to.
    pub value: Value,
}

/// Something that an op says beside variables and inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// How telling a difference is.
    pub rank: Rank,
    /// What it is called, unique in its story.
    pub name: String,
    /// What it says.
    pub value: Value,
}

/// How telling a difference is: the first is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// The text of the instruction.
    Instruction,
    /// An ARG, or a variable that the Dockerfile sets.
    Variable,
    /// What an instruction above it set: shell, user, directory.
    Setting,
    /// The image that it stands on.
    Base,
    /// A variable that may have come with another image.
    BaseVariable,
    /// Files of a context, or what was fetched.
    Files,
    /// The result of another step.
    Step,
    /// The platform.
    Platform,
    /// The network, and what else of the sandbox is not of the instruction.
    Network,
    /// A mount.
    Mount,
    /// The format of keys.
    Format,
}

/// An input and what it is used as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Unique in its story, such as `base` or `mount 2`.
    pub usage: String,
    /// What it was.
    pub input: Input,
}

/// What an input was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// An image.
    Image {
        /// Its name, as people type it.
        name: Value,
        /// The digest of its manifest.
        manifest: Digest,
        /// What it was asked for.
        platform: String,
        /// The ARGs that its name is made of.
        filled: Vec<Variable>,
    },
    /// Selected files of a context.
    Files {
        /// The name of the context; empty for the main one.
        context: String,
        /// The digest of the selection.
        digest: Digest,
        /// Each file.
        listing: Listing,
    },
    /// The result of another step.
    Step {
        /// Its name.
        name: String,
        /// Its definition key.
        key: Digest,
    },
    /// What was fetched: a file or a repository.
    Fetched {
        /// From where, without users.
        address: Value,
        /// The digest of a file, or the commit.
        content: String,
        /// What else counts.
        details: String,
    },
    /// Something that is made out of nothing but the op itself.
    Made {
        /// The key of the op.
        op: Digest,
    },
}

impl Value {
    /// A value that may be shown.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Plain(text.into())
    }

    /// A value that only its digest is kept of.
    pub fn hidden(text: &str) -> Self {
        let mut hasher = CanonicalHasher::new("acetate/story-hidden/v1");
        hasher.text(text);
        Self::Hidden(hasher.finish().hex())
    }

    /// The value, where it may be shown.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Hidden(_) => None,
        }
    }

    /// The digest that others may see.
    pub fn salted(&self, salt: Salt) -> Self {
        let mut hasher = CanonicalHasher::new("acetate/story-salted/v1");
        hasher.bytes(&salt.0);
        match self {
            Self::Plain(text) => hasher.tag(0).text(text),
            Self::Hidden(digest) => hasher.tag(1).text(digest),
        };
        Self::Hidden(hasher.finish().hex())
    }
}

impl Story {
    /// What the step stands on: the key of the step or the digest of the image below it.
    pub fn below(&self) -> Option<&Digest> {
        let base = self.inputs.iter().find(|part| part.usage == "base")?;
        match &base.input {
            Input::Image { manifest, .. } => Some(manifest),
            Input::Step { key, .. } => Some(key),
            Input::Files { digest, .. } => Some(digest),
            Input::Fetched { .. } | Input::Made { .. } => None,
        }
    }
}
