//! Compressed forms of layers: which blob a layer is when it is compressed in one exact way, so that
//! one machine compresses it for all.
//!
//! A form is a record under a key of its own. Its first layer is the layer itself, in one blob that
//! lies elsewhere: that is the descriptor. Its second one is the bytes of that blob, in pieces that
//! are kept as they are, and may be absent.

use std::io::{self, Read};

use acetate_oci::{Descriptor, Digest, Timestamp};
use futures_util::{StreamExt, TryStreamExt, future, stream};
use tokio::sync::mpsc;

use super::action::action_key;
use super::chunker::MAX_CHUNK;
use super::client::{RemoteCache, Useless};
use super::lookup::RemoteHit;
use super::presence::Named;
use super::publish::{Attest, Existing, Publication, Published, Put, Skip, TarOpener};
use super::record::{Chunk, LayerForm, RemoteLayer, RemoteRecord};
use super::upload::stored_name;
use crate::{CacheKey, Fidelity};

/// How many pieces are asked about and sent together: 16 MiB.
const BATCH: usize = 8;
/// How many bytes are compressed in a millisecond, for the weight that servers give a form when they
/// make room; of gzip at its usual level.
const BYTES_A_MS: u64 = 32 << 10;

/// What a form is of: a layer, and the exact way to compress it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormName {
    /// The digest of the layer's tar.
    pub diff_id: Digest,
    /// Names compressor, version and level.
    pub recipe: String,
}

impl FormName {
    /// The key that the form is kept under.
    pub fn key(&self) -> CacheKey {
        CacheKey::form(&self.diff_id, &self.recipe)
    }
}

/// A form that a cache knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteForm {
    /// The blob: its media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes of the blob, to be fetched like a layer; none where the cache only knows their name.
    pub bytes: Option<RemoteLayer>,
    /// The id of the trusted key that signed it. Without one, nobody says that the blob holds the
    /// layer until it was read.
    pub signer: Option<String>,
    /// The envelope that it came in, to be given on.
    pub attest: Attest,
}

/// A form that is here, to be given.
#[derive(Clone)]
pub struct FormSource {
    /// What it is of.
    pub name: FormName,
    /// The blob.
    pub descriptor: Descriptor,
    /// Gives the bytes of the blob; none where only its name is given.
    pub open: Option<TarOpener>,
    /// Who vouches for it.
    pub attest: Attest,
    /// What becomes of one that is there already.
    pub existing: Existing,
}

impl std::fmt::Debug for FormSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormSource")
            .field("name", &self.name)
            .field("descriptor", &self.descriptor)
            .finish_non_exhaustive()
    }
}

impl RemoteCache {
    /// Asks for all these forms in one question; for each what is known, or nothing.
    pub async fn forms(&self, names: &[FormName]) -> Vec<Option<RemoteForm>> {
        let keys: Vec<CacheKey> = names.iter().map(FormName::key).collect();
        let hits = self.peek(&keys).await.into_iter().zip(names);
        let read = |(hit, name): (Option<RemoteHit>, &FormName)| {
            let form = understood(&name.diff_id, hit?);
            if form.is_none() {
                self.transport_damaged(name);
            }
            form
        };
        hits.map(read).collect()
    }

    /// Counts a form that came or is relied on.
    pub fn note_form(&self) {
        self.0.transport.count(|stats| stats.forms_taken += 1);
    }

    /// Counts a form that is not there.
    pub fn miss_form(&self) {
        self.0.transport.count(|stats| stats.forms_missed += 1);
    }

    /// Counts a form that is there and of no use, so that the next one replaces it.
    pub fn refuse_form(&self, name: &FormName) {
        self.miss_form();
        self.note_useless(action_key(&name.key()), Useless::Inferior);
    }

    /// Warns of a form whose blob holds another layer.
    pub fn blame_form(&self, name: &FormName) {
        self.transport_damaged(name);
        self.miss_form();
    }

    fn transport_damaged(&self, name: &FormName) {
        let what = "a compressed form that is not one of its layer";
        self.0.transport.damaged(what);
        self.note_useless(action_key(&name.key()), Useless::Inferior);
    }

    /// Sends what the server lacks of a form, and its record last.
    ///
    /// Dropping the future ends it at any time.
    pub async fn publish_form(&self, source: &FormSource) -> Published {
        let outcome = self.try_publish_form(source).await;
        match outcome {
            Ok(puts) => {
                let is_new = puts.contains(&Put::Written);
                let count = |stats: &mut super::Stats| stats.forms_given += u64::from(is_new);
                self.0.transport.count(count);
                Published::Done(puts)
            }
            Err(skip) => {
                tracing::debug!(?skip, "a compressed form is not shared");
                Published::Skipped(skip)
            }
        }
    }

    async fn try_publish_form(&self, source: &FormSource) -> Result<Vec<Put>, Skip> {
        let limits = &self.0.transport.limits;
        if source.descriptor.size > limits.max_layer {
            return Err(Skip::TooLarge);
        }
        self.0.transport.check_writable()?;
        let publication = Publication {
            keys: vec![source.name.key()],
            layers: Vec::new(),
            duration_ms: source.descriptor.size / BYTES_A_MS,
            fidelity: Fidelity::Full,
            made_of: vec![source.name.diff_id],
            existing: source.existing,
            attest: source.attest.clone(),
        };
        for is_last in [false, true] {
            let mut layers = vec![named_only(source)];
            if let Some(open) = &source.open {
                layers.push(self.send_blob(&source.descriptor, open).await?);
            }
            self.send_trees(&layers).await?;
            match self.write_records(&publication, layers).await? {
                Some(puts) => return Ok(puts),
                None if !is_last => self.forget_sent(),
                None => {}
            }
        }
        Err(Skip::Incomplete)
    }

    /// Sends those pieces of a blob that the server lacks. Memory holds three batches.
    async fn send_blob(&self, blob: &Descriptor, open: &TarOpener) -> Result<RemoteLayer, Skip> {
        let (sender, receiver) = mpsc::channel::<Vec<Vec<u8>>>(1);
        let (open, size) = (open.clone(), blob.size);
        let read = acetate_stdx::blocking(move || {
            let mut reader = open()?.take(size);
            loop {
                let batch = batch(&mut reader)?;
                if batch.is_empty() {
                    return Ok::<_, io::Error>(());
                }
                if sender.blocking_send(batch).is_err() {
                    return Err(io::Error::other("the upload ended"));
                }
            }
        });
        let batches = stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        let sent = batches
            .map(|batch| self.send_plain(batch))
            .buffered(2)
            .try_concat();
        let (read, sent) = tokio::join!(read, sent);
        let chunks = sent?;
        read.map_err(|error| Skip::Source(error.to_string()))?;
        if chunks
            .iter()
            .map(|chunk| u64::from(chunk.raw_size))
            .sum::<u64>()
            != size
        {
            return Err(Skip::Source("the blob has another size".to_owned()));
        }
        Ok(RemoteLayer {
            diff_id: blob.digest,
            size,
            created: Timestamp::default(),
            form: LayerForm::Chunks(chunks),
            listing: Vec::new(),
        })
    }

    async fn send_plain(&self, batch: Vec<Vec<u8>>) -> Result<Vec<Chunk>, Skip> {
        let hashed = batch
            .into_iter()
            .map(|piece| acetate_stdx::offload(move || (plain(&piece), piece)));
        let objects: Vec<(Chunk, Vec<u8>)> = future::join_all(hashed).await;
        let named: Vec<Named> = objects
            .iter()
            .map(|(chunk, _)| stored_name(chunk))
            .collect();
        let mut missing = self.missing(&named).await?;
        let chunks: Vec<Chunk> = objects.iter().map(|(chunk, _)| *chunk).collect();
        let lacking: Vec<_> = objects
            .into_iter()
            .filter(|(chunk, _)| missing.remove(&chunk.stored))
            .map(|(chunk, piece)| self.send(chunk.stored, piece))
            .collect();
        let n_sent = lacking.len() as u64;
        let sends = stream::iter(lacking).buffer_unordered(self.0.transport.limits.n_parallel);
        sends.try_collect::<()>().await?;
        self.0.transport.count(|stats| {
            stats.chunks_up += n_sent;
            stats.chunks_deduped += chunks.len() as u64 - n_sent;
        });
        Ok(chunks)
    }
}

/// The layer of a form that is the descriptor.
fn named_only(source: &FormSource) -> RemoteLayer {
    RemoteLayer {
        diff_id: source.name.diff_id,
        size: source.descriptor.size,
        created: Timestamp::default(),
        form: LayerForm::Blob(source.descriptor.clone()),
        listing: Vec::new(),
    }
}

/// Reads a record as a form of a layer; none when it is something else.
fn understood(diff_id: &Digest, hit: RemoteHit) -> Option<RemoteForm> {
    let RemoteRecord { layers, .. } = hit.record;
    let mut layers = layers.into_iter();
    let (named, bytes) = (layers.next()?, layers.next());
    let LayerForm::Blob(descriptor) = named.form else {
        return None;
    };
    let is_of_blob = |bytes: &RemoteLayer| {
        let is_it = bytes.diff_id == descriptor.digest && bytes.size == descriptor.size;
        is_it && matches!(bytes.form, LayerForm::Chunks(_))
    };
    let is_form = named.diff_id == *diff_id
        && layers.next().is_none()
        && bytes.as_ref().is_none_or(is_of_blob);
    is_form.then_some(RemoteForm {
        descriptor,
        bytes,
        signer: hit.signer,
        attest: Attest::Forward(hit.envelope.into_iter().collect()),
    })
}

/// The next pieces of a blob, each as large as it may be but the last one.
fn batch(reader: &mut impl Read) -> io::Result<Vec<Vec<u8>>> {
    let mut batch = Vec::with_capacity(BATCH);
    while batch.len() < BATCH {
        let mut piece = Vec::with_capacity(MAX_CHUNK);
        reader.take(MAX_CHUNK as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        batch.push(piece);
    }
    Ok(batch)
}

/// A piece that is kept as it is.
fn plain(piece: &[u8]) -> Chunk {
    let digest = Digest::of(piece);
    // Pieces have at most `MAX_CHUNK` bytes.
    let size = u32::try_from(piece.len()).unwrap_or(u32::MAX);
    Chunk {
        raw: digest,
        raw_size: size,
        stored: digest,
        stored_size: size,
    }
}
