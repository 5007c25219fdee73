//! Listings of layers in a repository: small blobs that config and manifest name, beside the layers.

use std::sync::Arc;

use acetate_registry::{MemorySource, NoProgress, Progress, PushBlob, Pushed, RegistryError};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::cache::{Inner, RegistryCache};
use super::fault::words;
use super::fetch::lost;
use crate::layout::listing::{Listings, named};
use crate::remote::{Chunk, ListingSource, Lost, Publication, RemoteLayer, open_piece};

/// A piece of more bytes is refused: uncompressed none has more than 2 MiB.
const MAX_PIECE: u64 = 4 << 20;
/// Pieces that are asked for at once.
const PARALLEL: usize = 8;

impl RegistryCache {
    /// Reads the listing that a record names.
    ///
    /// What cannot be read is not warned of: the layer is fetched instead, and tells the same.
    pub(super) async fn read_listing(&self, layer: &RemoteLayer) -> Result<Vec<u8>, Lost> {
        if layer.listing.is_empty() {
            return Err(Lost::Elsewhere);
        }
        let pieces = layer.listing.clone().into_iter();
        let pieces = pieces.map(|piece| self.0.listing_piece(piece));
        let pieces: Vec<Vec<u8>> = stream::iter(pieces)
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        Ok(pieces.concat())
    }

    /// Sends what the repository lacks of the listings of a result, and tells which they are.
    ///
    /// A listing that cannot be sent is left out: the layer can be listed again.
    pub(super) async fn send_listings(&self, publication: &Publication) -> Listings {
        let mut listings = Vec::with_capacity(publication.layers.len());
        for source in &publication.layers {
            listings.push(match &source.listing {
                Some(listing) => self.0.known_listing(listing).await,
                None => Vec::new(),
            });
        }
        listings
    }
}

impl Inner {
    async fn listing_piece(&self, piece: Chunk) -> Result<Vec<u8>, Lost> {
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        let blob = named(&piece);
        let stored = registries.small_blob(repository, &blob, MAX_PIECE).await;
        let stored = stored.map_err(|error| lost(&blob, &error).1)?;
        self.notes.count(|stats| stats.bytes_down += blob.size);
        let raw = acetate_stdx::offload(move || open_piece(&piece, &stored)).await;
        raw.ok_or(Lost::Damaged(blob.digest))
    }

    /// What a listing consists of; it is cut and sent once.
    async fn known_listing(&self, listing: &ListingSource) -> Vec<Chunk> {
        let known = self.state().listings.get(&listing.digest).cloned();
        if let Some(known) = known {
            return known;
        }
        let source = listing.clone();
        let cut = acetate_stdx::offload(move || source.cut()).await;
        let pieces = match self.send_pieces(cut.unwrap_or_default()).await {
            Ok(pieces) => pieces,
            Err(error) => {
                let words = words(&error);
                tracing::debug!(%words, "a listing is not kept in a registry");
                Vec::new()
            }
        };
        let mut state = self.state();
        state.listings.insert(listing.digest, pieces.clone());
        pieces
    }

    async fn send_pieces(&self, cut: Vec<(Chunk, Vec<u8>)>) -> Result<Vec<Chunk>, RegistryError> {
        let silent: Arc<dyn Progress> = Arc::new(NoProgress);
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        let mut pieces = Vec::with_capacity(cut.len());
        for (piece, object) in cut {
            let blob = PushBlob {
                descriptor: named(&piece),
                source: Arc::new(MemorySource(object.into())),
                mount_from: Vec::new(),
            };
            let pushed = registries.push_blob(repository, &blob, &silent).await?;
            if pushed == Pushed::Sent {
                let size = blob.descriptor.size;
                self.notes.count(|stats| stats.bytes_up += size);
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }
}
