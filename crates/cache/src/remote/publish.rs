//! Results that are given to a shared cache.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use acetate_cache_api::Kind;
use acetate_net::Method;
use acetate_oci::{Descriptor, Digest, Timestamp};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Cause;
use super::action::action_key;
use super::client::RemoteCache;
use super::detect::Level;
use super::listing::ListingSource;
use super::presence::Named;
use super::record::{Chunk, LayerForm, RemoteLayer};
use super::transport::{Effort, Fault};
use super::upload::{Recall, stored_name};
use super::write::Manner;
use crate::{CacheKey, Fidelity};

/// How many layers of a result are begun at once; what is cut at once is bounded for all results.
const N_LAYERS: usize = 8;

/// Opens the uncompressed tar of a layer; called only when chunks of it may have to be sent.
///
/// What it gives need not be checked: whoever reads it compares it with the layer's `diff_id`.
pub type TarOpener = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// A layer that is here, to be published.
#[derive(Clone)]
pub struct LayerSource {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The size of the tar in bytes.
    pub size: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Its blob in a base image that every reader has pinned: then it need not travel.
    pub base: Option<Descriptor>,
    /// What is in it, on the layers below, where that is known.
    pub listing: Option<ListingSource>,
    /// Gives its bytes.
    pub open: TarOpener,
}

/// A result to be published under all its keys.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its names, and the hint.
    pub keys: Vec<CacheKey>,
    /// The whole chain, bottom to top.
    pub layers: Vec<LayerSource>,
    /// How long the step ran, in milliseconds.
    pub duration_ms: u64,
    /// What kind of sandbox made it; less than a full one is not published.
    pub fidelity: Fidelity,
    /// The results that it was made of, see [`RemoteRecord::made_of`].
    pub made_of: Vec<Digest>,
    /// What becomes of a record that is there already.
    pub existing: Existing,
    /// Who vouches for it.
    pub attest: Attest,
}

/// Who vouches for a result that is published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Attest {
    /// It was executed in this build, or compared with what executing gave: it is signed, where
    /// there is a key.
    Own,
    /// It was taken from a cache, and is given on in the envelopes that its records came in
    /// ([`super::RemoteHit::envelope`]), each for the key that it answers.
    ///
    /// An envelope is used only where namespace, key and chunks stay the same, since a signature is
    /// about all of them. What no envelope is used for is written unsigned: this machine did not
    /// see it made.
    Forward(Vec<Arc<[u8]>>),
    /// Nobody.
    #[default]
    No,
}

/// What becomes of a record that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays: all machines go on from one result.
    #[default]
    Keep,
    /// It is replaced: the step was run again on purpose, or the record turned out to be damaged.
    Replace,
}

/// What became of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The record was written.
    Written,
    /// There was one already.
    Kept,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// For each key, in order.
    Done(Vec<Put>),
    /// Nothing, or not all, was written; nothing is wrong with what was.
    Skipped(Skip),
}

/// Why a result was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It was made in a weaker sandbox.
    Reduced,
    /// A layer, or the record itself, is larger than the limit.
    TooLarge,
    /// A layer cannot be read, or is not the one that was sealed.
    Source(String),
    /// The cache did not take it, for a cause that is warned of once.
    Cache(Cause),
    /// The cache lost chunks while they were sent, twice.
    Incomplete,
}

impl From<Fault> for Skip {
    fn from(fault: Fault) -> Self {
        Self::Cache(fault.cause())
    }
}

impl RemoteCache {
    /// Sends what the server lacks of a result, and its records last.
    ///
    /// A record that a look-up found to be of no use is replaced in any case; one that is merely not
    /// trusted, only by a client that requires signatures and signs this result itself.
    ///
    /// Dropping the future ends it at any time: then there are chunks without a record, which the
    /// server removes some day.
    pub async fn publish(&self, publication: &Publication) -> Published {
        let nothing: Recall = Arc::new(|_| Vec::new());
        self.publish_recalling(publication, &nothing).await
    }

    /// The same, where it is known what pieces become.
    pub async fn publish_recalling(&self, publication: &Publication, recall: &Recall) -> Published {
        let outcome = self.try_publish(publication, recall).await;
        let n_keys = publication.keys.len() as u64;
        self.0.transport.count(|stats| match &outcome {
            Ok(puts) => {
                let n_written = puts.iter().filter(|put| **put == Put::Written).count() as u64;
                stats.published += n_written;
                stats.kept += n_keys - n_written;
            }
            Err(_) => stats.skipped += n_keys,
        });
        match outcome {
            Ok(puts) => Published::Done(puts),
            Err(skip) => {
                tracing::debug!(?skip, "a result is not shared");
                Published::Skipped(skip)
            }
        }
    }

    async fn try_publish(
        &self,
        publication: &Publication,
        recall: &Recall,
    ) -> Result<Vec<Put>, Skip> {
        if publication.fidelity != Fidelity::Full {
            return Err(Skip::Reduced);
        }
        let most = self.0.transport.limits.max_layer;
        if publication.layers.iter().any(|layer| layer.size > most) {
            return Err(Skip::TooLarge);
        }
        self.0.transport.check_writable()?;
        if self.is_there(publication).await? {
            return Ok(vec![Put::Kept; publication.keys.len()]);
        }
        for is_last in [false, true] {
            let layers = self.ensure(&publication.layers, recall).await?;
            match self.write_records(publication, layers).await? {
                Some(puts) => return Ok(puts),
                // Collected in between: nothing is taken for granted the second time.
                None if !is_last => self.forget_sent(),
                None => {}
            }
        }
        Err(Skip::Incomplete)
    }

    /// True when another machine was faster with all keys, so that no layer has to be read. Only a
    /// server that checks its records can say so.
    async fn is_there(&self, publication: &Publication) -> Result<bool, Fault> {
        if self.manner(publication) != Manner::Create || self.level().await? == Level::Objects {
            return Ok(false);
        }
        for key in &publication.keys {
            let action = action_key(key);
            let is_there = if self.overrules(publication) {
                self.is_good(&action).await?
            } else {
                let transport = &self.0.transport;
                let url = transport.address.join(&self.path(Kind::Action, &action));
                let request = transport.request(Method::Head, url);
                transport.ask(&request, 0, Effort::Hedged).await?.status == 200
            };
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes sure that all chunks of all layers are there, and gives what the layers consist of.
    async fn ensure(
        &self,
        sources: &[LayerSource],
        recall: &Recall,
    ) -> Result<Vec<RemoteLayer>, Skip> {
        let known: Vec<Option<Arc<RemoteLayer>>> = sources
            .iter()
            .map(|source| self.known(&source.diff_id))
            .collect();
        let chunks = known.iter().flatten().flat_map(|layer| layer.chunks());
        let named: Vec<Named> = chunks.map(stored_name).collect();
        let missing = if named.is_empty() {
            HashSet::new()
        } else {
            self.missing(&named).await?
        };
        let layers = sources.iter().zip(known);
        let layers = layers.map(|(source, known)| self.ensure_one(source, known, &missing, recall));
        let layers: Vec<_> = layers.collect();
        let layers = stream::iter(layers).buffered(N_LAYERS);
        let mut layers: Vec<RemoteLayer> = layers.try_collect().await?;
        self.send_listings(sources, &mut layers).await?;
        self.send_trees(&layers).await?;
        Ok(layers)
    }

    async fn ensure_one(
        &self,
        source: &LayerSource,
        known: Option<Arc<RemoteLayer>>,
        missing: &HashSet<Digest>,
        recall: &Recall,
    ) -> Result<RemoteLayer, Skip> {
        if let Some(blob) = &source.base {
            return Ok(RemoteLayer {
                diff_id: source.diff_id,
                size: source.size,
                created: source.created,
                form: LayerForm::Blob(blob.clone()),
                listing: Vec::new(),
            });
        }
        let is_missing = |chunk: &Chunk| missing.contains(&chunk.stored);
        let layer = match known {
            Some(layer) if !layer.chunks().iter().any(is_missing) => layer,
            known => self.send_layer(source, known, recall).await?,
        };
        Ok(RemoteLayer {
            created: source.created,
            ..(*layer).clone()
        })
    }

    pub(super) async fn send_trees(&self, layers: &[RemoteLayer]) -> Result<(), Skip> {
        let trees: Vec<(Digest, Vec<u8>)> = layers
            .iter()
            .filter(|layer| !layer.chunks().is_empty())
            .map(RemoteLayer::tree)
            .map(|tree| (Digest::of(&tree), tree))
            .collect();
        let named: Vec<Named> = trees
            .iter()
            .map(|(d, tree)| (*d, tree.len() as u64))
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let mut missing = self.missing(&named).await?;
        for (digest, tree) in trees {
            if missing.remove(&digest) {
                self.send(digest, tree).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for LayerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerSource")
            .field("diff_id", &self.diff_id)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
