//! Listings of layers in a layout: blobs that config and manifest name, beside the layers.

use std::io;
use std::sync::Arc;

use acetate_oci::{Descriptor, MediaType};

use super::cache::{Inner, LayoutCache};
use super::parcel::LISTING_TYPE;
use super::verified;
use crate::remote::{Chunk, Lost, Publication, RemoteLayer, open_piece};

/// The listings of the layers of a result, in their order; empty where there is none.
pub(crate) type Listings = Vec<Vec<Chunk>>;

impl LayoutCache {
    /// Reads the listing that a record names.
    pub(super) async fn read_listing(&self, layer: &RemoteLayer) -> Result<Vec<u8>, Lost> {
        if layer.listing.is_empty() {
            return Err(Lost::Elsewhere);
        }
        let (inner, pieces) = (Arc::clone(&self.0), layer.listing.clone());
        acetate_stdx::blocking(move || inner.listing(&pieces)).await
    }

    /// Writes what the directory lacks of the listings of a result, and tells which they are.
    ///
    /// A listing that cannot be written is left out: the layer can be listed again.
    pub(super) async fn place_listings(&self, publication: &Publication) -> Listings {
        let (inner, publication) = (Arc::clone(&self.0), publication.clone());
        acetate_stdx::blocking(move || inner.put_listings(&publication)).await
    }
}

impl Inner {
    fn listing(&self, pieces: &[Chunk]) -> Result<Vec<u8>, Lost> {
        let mut listing = Vec::new();
        for piece in pieces {
            let limit = u64::from(piece.stored_size);
            let stored = match self.dir.small_blob(&piece.stored, limit) {
                Ok(Some(stored)) => stored,
                Ok(None) => return Err(Lost::Missing(piece.stored)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(Lost::Damaged(piece.stored));
                }
                Err(error) => return Err(Lost::Local(error)),
            };
            let Some(raw) = open_piece(piece, &stored) else {
                let place = self.real_path();
                verified::note_spoilt(&self.store, &place.to_string_lossy(), &piece.stored);
                return Err(Lost::Damaged(piece.stored));
            };
            listing.extend(raw);
        }
        Ok(listing)
    }

    fn put_listings(&self, publication: &Publication) -> Listings {
        let layers = publication.layers.iter();
        let listings = layers.map(|source| {
            let listing = source.listing.as_ref()?;
            let known = self.state().listings.get(&listing.digest).cloned();
            if known.is_some() {
                return known;
            }
            let cut = listing.cut()?;
            for (piece, object) in &cut {
                if self.dir.has(&named(piece)) && !self.is_spoilt(&piece.stored) {
                    continue;
                }
                let put = self
                    .dir
                    .put_blob(&piece.stored, |file| file.write_all(object));
                let place = self.real_path();
                verified::forget_spoilt(&self.store, &place.to_string_lossy(), &piece.stored);
                if let Err(error) = put {
                    tracing::debug!(%error, "a listing is not kept in a layout");
                    return None;
                }
                self.notes
                    .count(|stats| stats.bytes_up += object.len() as u64);
            }
            let pieces: Vec<Chunk> = cut.into_iter().map(|(piece, _)| piece).collect();
            let mut state = self.state();
            state.listings.insert(listing.digest, pieces.clone());
            Some(pieces)
        });
        listings.map(Option::unwrap_or_default).collect()
    }
}

/// The blob that a piece of a listing is in.
pub(crate) fn named(piece: &Chunk) -> Descriptor {
    Descriptor::new(
        MediaType::new(LISTING_TYPE),
        piece.stored,
        u64::from(piece.stored_size),
    )
}
