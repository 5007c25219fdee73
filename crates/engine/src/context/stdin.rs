//! Standard input as a context.

use super::{MAX_DOCKERFILE, archive};
use crate::BuildError;
use acetate_oci::Digest;
use acetate_store::{Expect, Store};
use std::io::{self, Cursor, Read};
use std::path::Path;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spooled {
    /// What begins like an archive is a blob of the store now.
    Archive(Digest),
    /// Anything else is a Dockerfile.
    Text(Vec<u8>),
}

/// Reads everything; what is large goes to the disk.
pub(super) fn spool(store: &Store, mut input: impl Read) -> Result<Spooled, BuildError> {
    let fail = |source| super::input("read the context from", Path::new("-"), source);
    let mut head = Vec::new();
    input
        .by_ref()
        .take(512)
        .read_to_end(&mut head)
        .map_err(fail)?;
    let looks_like_one = archive::looks_like_one(&head);
    let all = Cursor::new(head).chain(input);
    if looks_like_one {
        let blob = store.blobs().ingest(all, Expect::ANY)?;
        return Ok(Spooled::Archive(blob.digest));
    }
    let mut text = Vec::new();
    all.take(MAX_DOCKERFILE + 1)
        .read_to_end(&mut text)
        .map_err(fail)?;
    if text.len() as u64 > MAX_DOCKERFILE {
        return Err(fail(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Spooled::Text(text))
}
