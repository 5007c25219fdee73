//! The table of an estargz, and what leads to it.

use std::collections::BTreeMap;
use std::io;

use acetate_oci::{Digest, DigestHasher, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::head::Head;

/// The annotation with the digest of the table.
pub(super) const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The annotation with the size of the uncompressed tar.
pub(super) const PLAIN_SIZE: &str = "io.containers.estargz.uncompressed-size";
/// A member without content up to its extra field: flags say that there is one, of 26 bytes, with
/// one part `SG` of 22.
const FOOTER_START: [u8; 16] = [
    0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0, b'S', b'G', 22, 0,
];
/// One last stored block without bytes, their checksum and number.
const FOOTER_END: [u8; 13] = [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];

/// What a layer has beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traits {
    /// The digest of the tar, table included.
    pub(crate) diff_id: Digest,
    toc: Digest,
    plain_size: u64,
}

impl Traits {
    pub(super) fn new(table: &[u8], tar: DigestHasher) -> Self {
        Self {
            toc: Digest::of(table),
            plain_size: tar.bytes_hashed(),
            diff_id: tar.finish(),
        }
    }

    /// What the layer's descriptor says.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (TOC_DIGEST.to_owned(), self.toc.to_string()),
            (PLAIN_SIZE.to_owned(), self.plain_size.to_string()),
        ])
    }
}

/// A member or a further chunk of a file.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) size: u64,
    #[serde(rename = "modtime", skip_serializing_if = "String::is_empty")]
    mtime: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunk_digest: Option<Digest>,
    /// The number of the member that holds it, from which the offset follows in the end.
    #[serde(skip)]
    pub(super) block: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// A member; a file gets its digests when its content has passed.
    pub(super) fn of(head: Head) -> Self {
        let is_empty_file = head.kind == "reg" && head.size == 0;
        let encode = |(name, value): (String, Vec<u8>)| (name, STANDARD.encode(value));
        Self {
            name: head.name,
            kind: head.kind,
            size: head.size,
            mtime: time(head.mtime),
            link_name: head.link,
            mode: head.mode.into(),
            uid: head.uid,
            gid: head.gid,
            dev_major: head.device.0.into(),
            dev_minor: head.device.1.into(),
            xattrs: head.xattrs.into_iter().map(encode).collect(),
            digest: is_empty_file.then(|| Digest::of(b"")),
            ..Self::default()
        }
    }

    /// A further chunk of this file.
    pub(super) fn chunk(&self, chunk_offset: u64) -> Self {
        Self {
            name: self.name.clone(),
            kind: "chunk",
            chunk_offset,
            ..Self::default()
        }
    }
}

/// Empty for the beginning of time, as other tools have it.
fn time(time: Timestamp) -> String {
    match time.secs {
        0 => String::new(),
        _ => time.to_string(),
    }
}

/// The table.
#[derive(Serialize)]
pub(super) struct Toc {
    version: u32,
    entries: Vec<Entry>,
}

impl Toc {
    /// Fills in where each member begins.
    pub(super) fn new(mut entries: Vec<Entry>, starts: &[u64]) -> io::Result<Self> {
        for entry in &mut entries {
            if let Some(block) = entry.block {
                let start = starts.get(block).copied();
                entry.offset = start.ok_or_else(|| io::Error::other("a member was not written"))?;
            }
        }
        Ok(Self {
            version: 1,
            entries,
        })
    }

    /// The bytes of the table.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(io::Error::other)
    }
}

/// The last 51 bytes, which tell where the table begins.
pub(super) fn footer(at: u64) -> Vec<u8> {
    let mut footer = FOOTER_START.to_vec();
    footer.extend(format!("{at:016x}STARGZ").bytes());
    footer.extend(FOOTER_END);
    footer
}
