//! Records as the bytes that a cache keeps.
//!
//! A record is an `ActionResult` of the Remote Execution API. Each layer is an output directory
//! whose tree names the stored chunks, so that any server which checks results checks ours. All that
//! a hit needs is in one message beside it, so that one request brings it.

use acetate_cache_api::reapi::{
    ActionResult, Any, COST_TYPE, Digest as Named, ExecutedActionMetadata, OutputDirectory,
    OutputFile,
};
use acetate_oci::{Descriptor, Digest, MediaType, Timestamp};
use prost::Message;

use super::chunker::{MAX_CHUNK, MAX_STORED};
use super::listing::is_possible;
use super::record::{Chunk, LayerForm, RemoteLayer, RemoteRecord};
use super::sign::{Envelope, PAYLOAD_TYPE, Sealed, SigningKey, Statement, seal, unseal};
use crate::Fidelity;

/// The type of what holds a record: an envelope around a [`Payload`], behind its own digest.
const RECORD_TYPE: &str = "acetate/record/v2";
/// Who made it; some servers take no result without a name.
const WORKER: &str = "acetate";
/// A body of more bytes is no record: what servers take at most.
pub(super) const MAX_BODY: usize = 4 << 20;
/// More layers than any image has.
const MAX_LAYERS: usize = 1000;
/// Two digests and two sizes.
const CHUNK_LEN: usize = 32 + 32 + 4 + 4;

/// What a hit needs, in one message.
#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    /// The key that the record answers, so that no server can give it for another one.
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(uint64, tag = "2")]
    duration_ms: u64,
    /// Why the result is less than one of a full sandbox.
    #[prost(string, optional, tag = "3")]
    reduced: Option<String>,
    #[prost(message, repeated, tag = "4")]
    layers: Vec<PayloadLayer>,
    /// The results that this one was made of, 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "5")]
    made_of: Vec<Vec<u8>>,
    /// Where the record belongs and who says so; only in signed ones.
    #[prost(message, optional, tag = "6")]
    statement: Option<Statement>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PayloadLayer {
    #[prost(bytes = "vec", tag = "1")]
    diff_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(sint64, tag = "3")]
    created_secs: i64,
    #[prost(uint32, tag = "4")]
    created_nanos: u32,
    /// All chunks in a fixed form, since they are most of a record: digest of the piece, digest of
    /// the frame, size of the piece, size of the frame, numbers with the highest byte first.
    #[prost(bytes = "vec", tag = "5")]
    chunks: Vec<u8>,
    /// The blob of a base image; then there are no chunks, and no tree.
    #[prost(message, optional, tag = "6")]
    blob: Option<PayloadBlob>,
    /// The pieces of the listing, in the form of chunks.
    #[prost(bytes = "vec", tag = "7")]
    listing: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PayloadBlob {
    #[prost(string, tag = "1")]
    media_type: String,
    #[prost(bytes = "vec", tag = "2")]
    digest: Vec<u8>,
    #[prost(uint64, tag = "3")]
    size: u64,
}

/// Why some bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no message, or too many.
    #[error("it is no result of an action")]
    Form,
    /// The result is one of another program.
    #[error("it holds no record of this program")]
    Foreign,
    /// The record answers another key.
    #[error("it answers another key")]
    Key,
    /// A layer is described in a way that cannot be.
    #[error("layer {0} cannot be as it is described")]
    Layer(usize),
    /// What the server checked is not what the record needs.
    #[error("the trees of the result are not those of its layers")]
    Trees,
}

/// A digest as the Remote Execution API writes it.
pub(super) fn named(digest: &Digest, size: u64) -> Named {
    Named {
        hash: digest.hex(),
        size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
    }
}

/// A record that was read, and what of it is looked at before it is believed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Opened {
    pub(super) record: RemoteRecord,
    pub(super) sealed: Sealed,
}

/// Writes the record that answers the action `key`, unsigned.
pub fn encode(key: &Digest, record: &RemoteRecord) -> Vec<u8> {
    let envelope = Envelope::unsigned(payload(key, record, None));
    body(record, &envelope)
}

/// Writes the record that answers the action `key`, signed.
pub(super) fn encode_signed(
    key: &Digest,
    record: &RemoteRecord,
    statement: Statement,
    signer: &SigningKey,
) -> Vec<u8> {
    let envelope = Envelope::unsigned(payload(key, record, Some(statement)));
    body(record, &envelope.sign(signer))
}

/// A record that was taken out of an envelope, to be written again in the same one.
#[derive(Debug)]
pub(super) struct Rewrapped {
    pub(super) record: RemoteRecord,
    pub(super) statement: Option<Statement>,
    pub(super) body: Vec<u8>,
}

/// Writes the record that an envelope holds, in that envelope, where it answers the action `key`.
pub(super) fn rewrap(key: &Digest, envelope: &[u8]) -> Result<Rewrapped, DecodeError> {
    let envelope = Envelope::decode(envelope).map_err(|_| DecodeError::Form)?;
    let (record, statement) = open_payload(key, &envelope)?;
    let body = body(&record, &envelope);
    Ok(Rewrapped {
        record,
        statement,
        body,
    })
}

fn payload(key: &Digest, record: &RemoteRecord, statement: Option<Statement>) -> Vec<u8> {
    let payload = Payload {
        key: key.as_bytes().to_vec(),
        duration_ms: record.duration_ms,
        reduced: match &record.fidelity {
            Fidelity::Full => None,
            Fidelity::Reduced { reason } => Some(reason.clone()),
        },
        layers: record.layers.iter().map(encode_layer).collect(),
        made_of: record
            .made_of
            .iter()
            .map(|result| result.as_bytes().to_vec())
            .collect(),
        statement,
    };
    payload.encode_to_vec()
}

/// What a cache keeps: the envelope, and around it what servers understand of the record.
fn body(record: &RemoteRecord, envelope: &Envelope) -> Vec<u8> {
    let auxiliary = |type_url: &str, value| Any {
        type_url: type_url.to_owned(),
        value,
    };
    let cost = record.duration_ms.to_be_bytes().to_vec();
    let result = ActionResult {
        output_files: listings(&record.layers),
        output_directories: directories(&record.layers),
        execution_metadata: Some(ExecutedActionMetadata {
            worker: WORKER.to_owned(),
            auxiliary_metadata: vec![
                auxiliary(RECORD_TYPE, seal(envelope)),
                auxiliary(COST_TYPE, cost),
            ],
        }),
        ..ActionResult::default()
    };
    result.encode_to_vec()
}

fn directories(layers: &[RemoteLayer]) -> Vec<OutputDirectory> {
    let kept = layers.iter().enumerate();
    let trees = kept
        .filter(|(_, layer)| matches!(layer.form, LayerForm::Chunks(_)))
        .map(|(n, layer)| (n, layer.tree()));
    let directories = trees.map(|(n, tree)| OutputDirectory {
        path: format!("layers/{n:03}"),
        tree_digest: Some(named(&Digest::of(&tree), tree.len() as u64)),
    });
    directories.collect()
}

/// Names the listings for servers which check that all of a record is there. A reader does not
/// compare them: whoever rewrites a record in its envelope may not know listings, and a layer whose
/// listing is gone is itself there.
fn listings(layers: &[RemoteLayer]) -> Vec<OutputFile> {
    let of_layer = |(n, layer): (usize, &RemoteLayer)| {
        let pieces = layer.listing.iter().enumerate();
        let files = pieces.map(|(k, piece)| OutputFile {
            path: format!("listings/{n:03}/{k:06}"),
            digest: Some(named(&piece.stored, u64::from(piece.stored_size))),
            ..OutputFile::default()
        });
        files.collect::<Vec<OutputFile>>()
    };
    layers.iter().enumerate().flat_map(of_layer).collect()
}

fn encode_chunks(chunks: &[Chunk]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chunks.len() * CHUNK_LEN);
    for chunk in chunks {
        bytes.extend_from_slice(chunk.raw.as_bytes());
        bytes.extend_from_slice(chunk.stored.as_bytes());
        bytes.extend_from_slice(&chunk.raw_size.to_be_bytes());
        bytes.extend_from_slice(&chunk.stored_size.to_be_bytes());
    }
    bytes
}

fn encode_layer(layer: &RemoteLayer) -> PayloadLayer {
    PayloadLayer {
        diff_id: layer.diff_id.as_bytes().to_vec(),
        size: layer.size,
        created_secs: layer.created.secs,
        created_nanos: layer.created.nanos,
        chunks: encode_chunks(layer.chunks()),
        listing: encode_chunks(&layer.listing),
        blob: match &layer.form {
            LayerForm::Chunks(_) => None,
            LayerForm::Blob(blob) => Some(PayloadBlob {
                media_type: blob.media_type.to_string(),
                digest: blob.digest.as_bytes().to_vec(),
                size: blob.size,
            }),
        },
    }
}

/// Reads the record that answers the action `key`. Whether anybody signed it is not looked at.
///
/// # Errors
/// When the bytes are no such record, or describe something that cannot be.
pub fn decode(key: &Digest, bytes: &[u8]) -> Result<RemoteRecord, DecodeError> {
    open(key, bytes).map(|opened| opened.record)
}

/// Reads the record that answers the action `key`, with its signatures.
pub(super) fn open(key: &Digest, bytes: &[u8]) -> Result<Opened, DecodeError> {
    if bytes.len() > MAX_BODY {
        return Err(DecodeError::Form);
    }
    let result = ActionResult::decode(bytes).map_err(|_| DecodeError::Form)?;
    let notes = result
        .execution_metadata
        .iter()
        .flat_map(|metadata| &metadata.auxiliary_metadata);
    let mut own = notes.filter(|note| note.type_url == RECORD_TYPE);
    let (Some(note), None) = (own.next(), own.next()) else {
        return Err(DecodeError::Foreign);
    };
    let envelope = unseal(&note.value).ok_or(DecodeError::Form)?;
    let (record, statement) = open_payload(key, &envelope)?;
    // What the server looked at before it answered must be what the layers are made of.
    if result.exit_code != 0 || result.output_directories != directories(&record.layers) {
        return Err(DecodeError::Trees);
    }
    let sealed = Sealed {
        envelope,
        statement,
    };
    Ok(Opened { record, sealed })
}

fn open_payload(
    key: &Digest,
    envelope: &Envelope,
) -> Result<(RemoteRecord, Option<Statement>), DecodeError> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(DecodeError::Foreign);
    }
    let payload = Payload::decode(envelope.payload.as_slice()).map_err(|_| DecodeError::Form)?;
    if payload.key != key.as_bytes() {
        return Err(DecodeError::Key);
    }
    if payload.layers.len() > MAX_LAYERS {
        return Err(DecodeError::Layer(MAX_LAYERS));
    }
    let layers: Result<Vec<RemoteLayer>, DecodeError> = payload
        .layers
        .iter()
        .enumerate()
        .map(|(n, layer)| decode_layer(layer).ok_or(DecodeError::Layer(n)))
        .collect();
    let made_of = payload.made_of.iter().map(|one| Digest::from_slice(one));
    let record = RemoteRecord {
        layers: layers?,
        duration_ms: payload.duration_ms,
        fidelity: match payload.reduced {
            None => Fidelity::Full,
            Some(reason) => Fidelity::Reduced { reason },
        },
        made_of: made_of.collect::<Option<_>>().ok_or(DecodeError::Form)?,
    };
    Ok((record, payload.statement))
}

fn decode_layer(layer: &PayloadLayer) -> Option<RemoteLayer> {
    if layer.created_nanos >= 1_000_000_000 {
        return None;
    }
    let chunks = decode_chunks(&layer.chunks)?;
    let listing = decode_chunks(&layer.listing).filter(|pieces| is_possible(pieces))?;
    let form = match &layer.blob {
        Some(_) if !chunks.is_empty() => return None,
        Some(blob) => LayerForm::Blob(decode_blob(blob)?),
        None => {
            let size: u64 = chunks.iter().map(|chunk| u64::from(chunk.raw_size)).sum();
            if size != layer.size || size == 0 {
                return None;
            }
            LayerForm::Chunks(chunks)
        }
    };
    Some(RemoteLayer {
        diff_id: Digest::from_slice(&layer.diff_id)?,
        size: layer.size,
        created: Timestamp::new(layer.created_secs, layer.created_nanos),
        form,
        listing,
    })
}

fn decode_chunks(bytes: &[u8]) -> Option<Vec<Chunk>> {
    let (chunks, rest) = bytes.as_chunks::<CHUNK_LEN>();
    let chunks = chunks.iter().map(decode_chunk);
    if rest.is_empty() {
        chunks.collect()
    } else {
        None
    }
}

fn decode_blob(blob: &PayloadBlob) -> Option<Descriptor> {
    let digest = Digest::from_slice(&blob.digest)?;
    let media_type = MediaType::new(blob.media_type.as_str());
    (blob.size > 0).then(|| Descriptor::new(media_type, digest, blob.size))
}

fn decode_chunk(bytes: &[u8; CHUNK_LEN]) -> Option<Chunk> {
    let (raw, rest) = bytes.split_first_chunk::<32>()?;
    let (stored, rest) = rest.split_first_chunk::<32>()?;
    let (raw_size, rest) = rest.split_first_chunk::<4>()?;
    let (stored_size, _) = rest.split_first_chunk::<4>()?;
    let chunk = Chunk {
        raw: Digest::from_bytes(*raw),
        raw_size: u32::from_be_bytes(*raw_size),
        stored: Digest::from_bytes(*stored),
        stored_size: u32::from_be_bytes(*stored_size),
    };
    let fits = |size: u32, most: usize| size > 0 && size as usize <= most;
    let is_possible = fits(chunk.raw_size, MAX_CHUNK) && fits(chunk.stored_size, MAX_STORED);
    is_possible.then_some(chunk)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "codec_signed_tests.rs"]
mod signed_tests;
