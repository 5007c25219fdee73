//! Records: what they name, and whether all of it is here.

use acetate_cache_api::reapi::{ActionResult, COST_TYPE, Digest as Named, Tree};
use acetate_oci::Digest;
use prost::Message;

/// The trees that a record names; none when the body is no record.
pub(crate) fn trees(body: &[u8]) -> Option<Vec<Digest>> {
    let result = ActionResult::decode(body).ok()?;
    result.trees().map(digest_of).collect()
}

/// What a record saves in milliseconds, and which content it names, that of its trees included.
///
/// `tree` reads a tree; none when the body is no record, or when a tree cannot be read.
pub(crate) fn needs(
    body: &[u8],
    mut tree: impl FnMut(&Digest) -> Option<Vec<u8>>,
) -> Option<(u64, Vec<Digest>)> {
    let result = ActionResult::decode(body).ok()?;
    let mut digests = named(result.digests())?;
    for digest in result.trees() {
        let bytes = tree(&digest_of(digest)?)?;
        digests.extend(named(Tree::decode(bytes.as_slice()).ok()?.files())?);
    }
    digests.sort_unstable();
    digests.dedup();
    Some((cost(&result), digests))
}

/// All digests, or none when one of them is no digest. What has no bytes needs no place.
fn named<'a>(digests: impl IntoIterator<Item = &'a Named>) -> Option<Vec<Digest>> {
    digests
        .into_iter()
        .filter(|digest| digest.size_bytes != 0)
        .map(digest_of)
        .collect()
}

fn digest_of(named: &Named) -> Option<Digest> {
    Digest::from_hex(&named.hash).ok()
}

/// The milliseconds that a hit saves, where the writer says them.
fn cost(result: &ActionResult) -> u64 {
    let metadata = result.execution_metadata.iter();
    let mut notes = metadata.flat_map(|metadata| &metadata.auxiliary_metadata);
    let note = notes.find(|note| note.type_url == COST_TYPE);
    note.and_then(|note| note.value.as_slice().try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_cache_api::reapi::{
        Any, Directory, ExecutedActionMetadata, FileNode, OutputDirectory, OutputFile,
    };

    fn as_named(bytes: &[u8]) -> Named {
        Named {
            hash: Digest::of(bytes).hex(),
            size_bytes: i64::try_from(bytes.len()).unwrap(),
        }
    }

    fn record(tree: &[u8]) -> ActionResult {
        let value = 1500_u64.to_be_bytes().to_vec();
        let type_url = COST_TYPE.to_owned();
        ActionResult {
            output_files: vec![OutputFile {
                digest: Some(as_named(b"file")),
                ..OutputFile::default()
            }],
            output_directories: vec![OutputDirectory {
                tree_digest: Some(as_named(tree)),
                ..OutputDirectory::default()
            }],
            stdout_digest: Some(as_named(b"")),
            execution_metadata: Some(ExecutedActionMetadata {
                worker: "w".into(),
                auxiliary_metadata: vec![Any { type_url, value }],
            }),
            ..ActionResult::default()
        }
    }

    #[test]
    fn chunks_of_trees_are_needed_too() {
        let tree = Tree {
            root: Some(Directory {
                files: vec![FileNode {
                    digest: Some(as_named(b"chunk")),
                    ..FileNode::default()
                }],
                ..Directory::default()
            }),
            ..Tree::default()
        };
        let tree = tree.encode_to_vec();
        let body = record(&tree).encode_to_vec();
        let (saved, found) = needs(&body, |_| Some(tree.clone())).unwrap();
        let mut expected = [&b"file"[..], &tree, b"chunk"].map(Digest::of).to_vec();
        expected.sort_unstable();
        assert_eq!((saved, found), (1500, expected));
        assert_eq!(needs(&body, |_| None), None);
        assert_eq!(needs(&body, |_| Some(vec![0xff])), None);
        assert_eq!(needs(b"\xff\xff", |_| None), None);
    }
}
