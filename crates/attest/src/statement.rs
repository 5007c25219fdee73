use std::collections::BTreeMap;

use acetate_oci::{Digest, Platform, Reference, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::image_purl;

/// Digests of one thing by the name of their algorithm, in hexadecimal.
pub type DigestSet = BTreeMap<String, String>;

/// Which form of in-toto statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StatementVersion {
    /// What BuildKit wrote before its version 0.32.
    #[serde(rename = "https://in-toto.io/Statement/v0.1")]
    V01,
    /// The current one.
    #[default]
    #[serde(rename = "https://in-toto.io/Statement/v1")]
    V1,
}

/// What a statement speaks about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// A package URL, a path, or `_` for what has no name.
    #[serde(default)]
    pub name: String,
    /// Its digests.
    #[serde(default)]
    pub digest: DigestSet,
}

impl Subject {
    /// An image by one of its names.
    pub fn image(name: &Reference, platform: Option<&Platform>, manifest: Digest) -> Self {
        Self::named(image_purl(name, platform), manifest)
    }

    /// An image that has no name.
    pub fn nameless(manifest: Digest) -> Self {
        Self::named("_".to_owned(), manifest)
    }

    /// A file of a result that is exported as files; `path` is relative to its root.
    pub fn file(path: &str, content: Digest) -> Self {
        Self::named(path.trim_start_matches('/').to_owned(), content)
    }

    fn named(name: String, digest: Digest) -> Self {
        let digest = DigestSet::from([("sha256".to_owned(), digest.hex())]);
        Self { name, digest }
    }
}

/// An in-toto statement: subjects, and what is said of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// The form.
    #[serde(rename = "_type")]
    pub version: StatementVersion,
    /// What is said, as a type.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What it is said of.
    pub subject: Vec<Subject>,
    /// What is said.
    pub predicate: Value,
}

impl Statement {
    /// The blob.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical_json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_statement_is_canonical_json() {
        let statement = Statement {
            version: StatementVersion::V01,
            predicate_type: "https://spdx.dev/Document".to_owned(),
            subject: vec![Subject::nameless(Digest::of(b""))],
            predicate: json!({"b": 1, "a": 2}),
        };
        assert_eq!(
            String::from_utf8(statement.to_bytes()).unwrap(),
            "{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicate\":{\"a\":2,\"b\":1},\
             \"predicateType\":\"https://spdx.dev/Document\",\"subject\":[{\"digest\":{\"sha256\":\
             \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},\"name\":\"_\"}]}"
        );
    }

    #[test]
    fn files_are_named_below_their_root() {
        assert_eq!(Subject::file("/bin/app", Digest::of(b"")).name, "bin/app");
    }
}
