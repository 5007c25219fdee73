//! Objects under paths: what clients keep that know folders and files only.
//!
//! Such an object is a record like others, which names its bytes in pieces: what holds for records
//! and content then holds for it, too. Its key is a digest of its path.

use acetate_cache_api::reapi::{ActionResult, Digest as Named, ExecutedActionMetadata, OutputFile};
use acetate_cache_api::{Kind, Namespace, NamespaceError, Route};
use acetate_oci::{Digest, DigestHasher};
use prost::Message;

/// A path in a raw namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPath {
    /// Where its object is kept.
    pub(crate) route: Route,
    /// The folder that it is in; a folder's own name.
    pub(crate) folder: Namespace,
    /// Whether it names a folder: those exist as soon as somebody asks.
    pub(crate) is_folder: bool,
}

impl RawPath {
    /// Takes a path apart; none where it is in no raw namespace.
    pub(crate) fn parse(path: &str, raw: &[Namespace]) -> Option<Result<Self, NamespaceError>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let is_below = |raw: &&Namespace| {
            let rest = path.strip_prefix(raw.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let namespace = raw.iter().find(is_below)?;
        Some(Self::below(namespace, path))
    }

    fn below(namespace: &Namespace, path: &str) -> Result<Self, NamespaceError> {
        let (folder, is_folder) = match path.strip_suffix('/') {
            Some(folder) => (folder, true),
            None => (path, false),
        };
        let whole = Namespace::from_segments(folder.split('/'))?;
        let parent = || whole.parent().unwrap_or_default();
        let mut hasher = DigestHasher::new();
        hasher.update(b"acetate/raw/v1\n");
        hasher.update(whole.as_str().as_bytes());
        Ok(Self {
            route: Route {
                namespace: namespace.clone(),
                kind: Kind::Action,
                key: hasher.finish(),
            },
            folder: if is_folder { whole } else { parent() },
            is_folder,
        })
    }
}

/// The pieces of an object, in order, with their sizes.
pub(crate) type Pieces = Vec<(Digest, u64)>;

/// The record of an object.
pub(crate) fn encode(pieces: &Pieces) -> Vec<u8> {
    let files = pieces
        .iter()
        .enumerate()
        .map(|(n, (digest, size))| OutputFile {
            path: format!("{n:06}"),
            digest: Some(Named {
                hash: digest.hex(),
                size_bytes: i64::try_from(*size).unwrap_or(i64::MAX),
            }),
            ..OutputFile::default()
        });
    ActionResult {
        output_files: files.collect(),
        execution_metadata: Some(ExecutedActionMetadata {
            worker: "raw".to_owned(),
            auxiliary_metadata: Vec::new(),
        }),
        ..ActionResult::default()
    }
    .encode_to_vec()
}

/// What a record says of an object; none where it is another record.
pub(crate) fn decode(body: &[u8]) -> Option<Pieces> {
    let result = ActionResult::decode(body).ok()?;
    let pieces = result.output_files.iter().map(|file| {
        let named = file.digest.as_ref()?;
        let size = u64::try_from(named.size_bytes).ok()?;
        Some((Digest::from_hex(&named.hash).ok()?, size))
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_keys_of_their_own_and_folders_end_with_a_slash() {
        let raw: Vec<Namespace> = vec!["sccache".parse().unwrap(), "team/raw".parse().unwrap()];
        let parse = |path: &str| RawPath::parse(path, &raw).map(Result::unwrap);
        let object = parse("/sccache/a/b/KEY").unwrap();
        assert_eq!(object.route.namespace.as_str(), "sccache");
        assert_eq!(
            (object.folder.as_str(), object.is_folder),
            ("sccache/a/b", false)
        );
        assert_eq!(
            parse("/sccache/a/KEY").unwrap().folder.as_str(),
            "sccache/a"
        );
        assert_ne!(parse("/sccache/a/KEY").unwrap().route, object.route);
        let folder = parse("/sccache/a/b/").unwrap();
        assert_eq!(
            (folder.folder.as_str(), folder.is_folder),
            ("sccache/a/b", true)
        );
        assert_eq!(
            parse("/team/raw/.check").unwrap().folder.as_str(),
            "team/raw"
        );
        for other in ["/sccache-evil/a", "/team/a", "/", "/sccache"] {
            assert_eq!(parse(other), None, "{other}");
        }
        for bad in [
            "/sccache/../x",
            "/sccache//x",
            "/sccache/%2e%2e/x",
            "/sccache/a b",
        ] {
            assert!(RawPath::parse(bad, &raw).unwrap().is_err(), "{bad}");
        }
    }

    #[test]
    fn records_round_trip() {
        for n in [0, 1, 3] {
            let pieces: Pieces = (0..n)
                .map(|n: u8| (Digest::of(&[n]), u64::from(n) + 1))
                .collect();
            assert_eq!(decode(&encode(&pieces)), Some(pieces));
        }
        assert_eq!(decode(b"\xff\xff"), None);
    }
}
