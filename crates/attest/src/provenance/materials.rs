use std::collections::BTreeMap;

use acetate_oci::{Digest, Platform, Reference};
use serde_json::{Value, json};

use crate::purl::typed_image_purl;
use crate::redact;

/// What came from outside into a build; what is local is no material.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Materials {
    /// Images.
    pub images: Vec<ImageMaterial>,
    /// Git repositories.
    pub git: Vec<GitMaterial>,
    /// Files behind URLs.
    pub http: Vec<HttpMaterial>,
}

/// An image that a build used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMaterial {
    /// Its name as asked for.
    pub reference: Reference,
    /// The platform asked for.
    pub platform: Option<Platform>,
    /// What the name meant: the digest of its index or manifest.
    pub digest: Digest,
    /// Where it was taken from.
    pub origin: ImageOrigin,
}

/// Where an image was taken from, which is the type of its package URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageOrigin {
    /// A registry: `pkg:docker/…`.
    #[default]
    Registry,
    /// An OCI layout on this machine: `pkg:oci/…`.
    Layout,
}

impl ImageOrigin {
    fn purl_type(self) -> &'static str {
        match self {
            Self::Registry => "docker",
            Self::Layout => "oci",
        }
    }
}

/// A commit that a build used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitMaterial {
    /// The repository and reference: `https://host/repo.git#refs/tags/v1`.
    pub url: String,
    /// The full name of the commit.
    pub commit: String,
}

/// A file that a build fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpMaterial {
    /// Where it came from.
    pub url: String,
    /// What it was.
    pub digest: Digest,
}

impl Materials {
    /// True when nothing came from outside.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.git.is_empty() && self.http.is_empty()
    }

    /// As resource descriptors: images, then git, then files, each sorted and named once.
    pub(super) fn to_json(&self) -> Vec<Value> {
        let mut out = Vec::new();
        out.extend(by_uri(self.images.iter().map(|image| {
            let kind = image.origin.purl_type();
            let uri = typed_image_purl(kind, &image.reference, image.platform.as_ref());
            (uri, "sha256", image.digest.hex())
        })));
        out.extend(by_uri(self.git.iter().map(|git| {
            (
                redact(&git.url),
                commit_algorithm(&git.commit),
                git.commit.clone(),
            )
        })));
        out.extend(by_uri(
            self.http
                .iter()
                .map(|http| (redact(&http.url), "sha256", http.digest.hex())),
        ));
        out
    }
}

/// Commits are SHA-1, unless the repository uses the longer digests.
fn commit_algorithm(commit: &str) -> &'static str {
    if commit.len() == 64 { "sha256" } else { "sha1" }
}

fn by_uri(items: impl Iterator<Item = (String, &'static str, String)>) -> Vec<Value> {
    let sorted: BTreeMap<(String, &str, String), ()> = items.map(|item| (item, ())).collect();
    sorted
        .into_keys()
        .map(|(uri, algorithm, digest)| json!({ "uri": uri, "digest": { algorithm: digest } }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn materials_are_sorted_named_once_and_redacted() {
        let git = |url: &str, commit: &str| GitMaterial {
            url: url.to_owned(),
            commit: commit.to_owned(),
        };
        let http = HttpMaterial {
            url: "https://u:p@host/a.tar".to_owned(),
            digest: Digest::of(b""),
        };
        let layout = ImageMaterial {
            reference: "base:1".parse().unwrap(),
            platform: None,
            digest: Digest::of(b""),
            origin: ImageOrigin::Layout,
        };
        let materials = Materials {
            images: vec![layout],
            git: vec![
                git("https://token@host/b.git#main", &"c".repeat(64)),
                git("https://host/a.git", "4b22"),
            ],
            http: vec![http.clone(), http],
        };
        let empty = Digest::of(b"").hex();
        assert_eq!(
            json!(materials.to_json()),
            json!([
                { "uri": "pkg:oci/base@1", "digest": { "sha256": empty } },
                { "uri": "https://host/a.git", "digest": { "sha1": "4b22" } },
                { "uri": "https://xxxxx@host/b.git#main", "digest": { "sha256": "c".repeat(64) } },
                { "uri": "https://xxxxx:xxxxx@host/a.tar", "digest": { "sha256": empty } },
            ])
        );
    }
}
