//! Listings of layers: what is in them, small enough to be had before the layers are.
//!
//! A listing is bytes here. It is cut and compressed as tars are, so that two listings of nearly
//! the same files share objects.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use acetate_oci::Digest;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::chunker::{Cutter, compress, expand, is_piece};
use super::client::RemoteCache;
use super::fetch::Lost;
use super::presence::Named;
use super::publish::{LayerSource, Skip};
use super::record::{Chunk, RemoteLayer};
use super::upload::stored_name;

/// A listing of more bytes does not travel: about half a million files.
pub const MAX_LISTING: u64 = 64 << 20;

/// Gives the bytes of a listing; called only when some of it may have to be sent.
pub type ListingOpener = Arc<dyn Fn() -> io::Result<Vec<u8>> + Send + Sync>;

/// The listing of a layer that is here, to be published beside it.
#[derive(Clone)]
pub struct ListingSource {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Gives its bytes.
    pub open: ListingOpener,
}

impl fmt::Debug for ListingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListingSource")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl ListingSource {
    /// Reads and cuts it: the pieces, each with the object that caches hold. None when it is too
    /// large, or is not what it was said to be: then the layer is given without it.
    pub(crate) fn cut(&self) -> Option<Vec<(Chunk, Vec<u8>)>> {
        if self.size == 0 || self.size > MAX_LISTING {
            return None;
        }
        let read = || -> io::Result<Vec<(Chunk, Vec<u8>)>> {
            let bytes = (self.open)()?;
            if bytes.len() as u64 != self.size || Digest::of(&bytes) != self.digest {
                return Err(io::Error::other("the listing has changed"));
            }
            let mut cutter = Cutter::new(bytes.as_slice(), self.size);
            let mut found = Vec::new();
            while let Some(pieces) = cutter.next()? {
                for piece in pieces {
                    found.push(compress(&piece, Digest::of(&piece))?);
                }
            }
            Ok(found)
        };
        read()
            .inspect_err(|error| tracing::debug!(%error, "a layer is shared without its listing"))
            .ok()
    }
}

/// Makes a piece of a listing of its object, or nothing when it is another one.
pub(crate) fn open_piece(chunk: &Chunk, stored: &[u8]) -> Option<Vec<u8>> {
    expand(chunk, stored).filter(|raw| is_piece(chunk, raw))
}

/// True when the pieces of a listing are no more than a listing may have.
pub(crate) fn is_possible(pieces: &[Chunk]) -> bool {
    let sizes = pieces.iter().map(|piece| u64::from(piece.raw_size));
    sizes.sum::<u64>() <= MAX_LISTING
}

impl RemoteCache {
    /// The bytes of the listing that a record names, checked.
    ///
    /// # Errors
    /// Why it is not to be had; the layer itself may be all the same.
    pub async fn fetch_listing(&self, layer: &RemoteLayer) -> Result<Vec<u8>, Lost> {
        if layer.listing.is_empty() {
            return Err(Lost::Elsewhere);
        }
        let pieces = layer.listing.clone().into_iter();
        let pieces = pieces.map(|piece| self.listing_piece(piece));
        let pieces: Vec<Vec<u8>> = stream::iter(pieces)
            .buffered(self.0.transport.limits.n_parallel)
            .try_collect()
            .await?;
        Ok(pieces.concat())
    }

    async fn listing_piece(&self, piece: Chunk) -> Result<Vec<u8>, Lost> {
        let permit = self.0.downloads.acquire().await;
        let stored = self.object(&piece).await?;
        drop(permit);
        let raw = acetate_stdx::offload(move || open_piece(&piece, &stored)).await;
        let Some(raw) = raw else {
            let what = "a listing that is not what it is called";
            self.0.transport.damaged(what);
            return Err(Lost::Damaged(piece.stored));
        };
        self.0.transport.count(|stats| stats.chunks_down += 1);
        Ok(raw)
    }

    /// Sends what the server lacks of the listings of layers, and notes in the layers which they
    /// are.
    pub(super) async fn send_listings(
        &self,
        sources: &[LayerSource],
        layers: &mut [RemoteLayer],
    ) -> Result<(), Skip> {
        let mut unknown: Vec<(ListingSource, Vec<Named>)> = Vec::new();
        for (source, layer) in sources.iter().zip(layers) {
            layer.listing.clear();
            let Some(listing) = &source.listing else {
                continue;
            };
            let Some(pieces) = self.listing_pieces(listing).await else {
                continue;
            };
            layer.listing.extend_from_slice(&pieces);
            let named: Vec<Named> = pieces.iter().map(stored_name).collect();
            if named.iter().any(|(object, _)| !self.was_sent(object)) {
                unknown.push((listing.clone(), named));
            }
        }
        let mut named: Vec<Named> = unknown
            .iter()
            .flat_map(|(_, named)| named.clone())
            .collect();
        named.sort_unstable_by_key(|(object, _)| *object);
        named.dedup();
        if named.is_empty() {
            return Ok(());
        }
        let missing = self.missing(&named).await?;
        for (listing, named) in unknown {
            if named.iter().any(|(object, _)| missing.contains(object)) {
                self.send_listing(listing, &missing).await?;
            }
        }
        // What is there is not asked about again with each step of a build.
        for (object, _) in named {
            self.sent(object);
        }
        Ok(())
    }

    async fn send_listing(
        &self,
        listing: ListingSource,
        missing: &HashSet<Digest>,
    ) -> Result<(), Skip> {
        let cut = acetate_stdx::offload(move || listing.cut()).await;
        // It was cut before; that it cannot be now is a fault of this machine.
        let cut = cut.ok_or_else(|| Skip::Source("a listing cannot be read again".to_owned()))?;
        for (chunk, object) in cut {
            if missing.contains(&chunk.stored) && !self.was_sent(&chunk.stored) {
                self.send(chunk.stored, object).await?;
            }
        }
        Ok(())
    }

    /// What a listing consists of; it is cut once.
    async fn listing_pieces(&self, listing: &ListingSource) -> Option<Arc<[Chunk]>> {
        if let Some(known) = self.known_listing(&listing.digest) {
            return Some(known);
        }
        let source = listing.clone();
        let cut = acetate_stdx::offload(move || source.cut()).await?;
        let pieces: Arc<[Chunk]> = cut.iter().map(|(chunk, _)| *chunk).collect();
        self.learn_listing(listing.digest, &pieces);
        Some(pieces)
    }
}
