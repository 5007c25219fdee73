//! Compressed forms that came from elsewhere instead of being made.

use std::io;

use acetate_oci::{Compression, Descriptor, Digest, MediaType};
use acetate_store::{Expect, FactKey, Store, StoreError};

use super::{Fact, Recipe, described, fact_key, noted, remembered};
use crate::ImageError;
use crate::layer::{ImageLayer, unpacked};

/// The space of facts `blob -> how it came`; none for what was compressed here.
const ORIGINS: &str = "compressed-origin";

/// The compressed form of a layer in a store: what [`super::compress`] would make, or has made.
#[derive(Debug, Clone, Copy)]
pub struct StoredForm<'a> {
    store: &'a Store,
    diff_id: Digest,
    recipe: Recipe,
}

/// Why the blob of a form is believed to hold its layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormOrigin {
    /// It was compressed here.
    Made,
    /// It came from elsewhere and was expanded here.
    Checked,
    /// It came from elsewhere, nobody looked into it, and the key with this id signed it.
    Signed(String),
}

impl<'a> StoredForm<'a> {
    /// The form of the layer `diff_id` that `recipe` asks for. Nothing is looked at yet.
    pub fn new(store: &'a Store, diff_id: Digest, recipe: Recipe) -> Self {
        Self {
            store,
            diff_id,
            recipe,
        }
    }

    /// The form, where its blob is here; it is pinned. [`super::compress`] takes it as it is.
    ///
    /// # Errors
    /// Those of the store.
    pub fn find(&self) -> Result<Option<ImageLayer>, ImageError> {
        let fact = remembered(self.store, &fact_key(&self.diff_id, self.recipe))?;
        Ok(fact.map(|fact| described(&self.diff_id, self.recipe, fact)))
    }

    /// The descriptor of the form, also where its blob is gone; none for an estargz, which is no form
    /// of the same tar.
    ///
    /// # Errors
    /// Those of the store.
    pub fn descriptor(&self) -> Result<Option<Descriptor>, ImageError> {
        if !self.recipe.keeps_tar() {
            return Ok(None);
        }
        let fact = noted(self.store, &fact_key(&self.diff_id, self.recipe))?;
        Ok(fact.map(|fact| described(&self.diff_id, self.recipe, fact).descriptor))
    }

    /// True for the descriptor of a blob that could be this form, by its media type. None can be an
    /// estargz, which holds another tar than the layer's.
    pub fn fits(&self, descriptor: &Descriptor) -> bool {
        let kind = self.recipe.compression();
        kind != Compression::None
            && self.recipe.keeps_tar()
            && descriptor.media_type == MediaType::oci_layer(kind)
    }

    /// Remembers a blob of the store as this form, as if it had been made here.
    pub fn remember(&self, descriptor: &Descriptor, origin: &FormOrigin) {
        let fact = Fact::plain(descriptor.digest, descriptor.size);
        let key = fact_key(&self.diff_id, self.recipe);
        let mut facts = vec![(key, acetate_oci::canonical_json(&fact))];
        let origin = match origin {
            FormOrigin::Made => None,
            FormOrigin::Checked => Some(String::new()),
            FormOrigin::Signed(signer) => Some(signer.clone()),
        };
        facts.extend(origin.map(|it| (origin_key(&descriptor.digest), it.into_bytes())));
        self.store.index().put_facts(facts);
    }

    /// How the blob of a form came here.
    ///
    /// # Errors
    /// Those of the store.
    pub fn origin(store: &Store, blob: &Digest) -> Result<FormOrigin, ImageError> {
        let found = store.index().facts(&[origin_key(blob)])?;
        Ok(match found.into_iter().next().flatten() {
            None => FormOrigin::Made,
            Some(signer) if signer.is_empty() => FormOrigin::Checked,
            Some(signer) => FormOrigin::Signed(String::from_utf8_lossy(&signer).into_owned()),
        })
    }

    /// Expands the blob of a form into the layer's tar of `size` bytes, which becomes a blob, too.
    /// False when the blob is gone, or holds anything else.
    ///
    /// Computes for as long as decompressing and hashing take.
    ///
    /// # Errors
    /// Those of the store.
    pub fn expand(&self, descriptor: &Descriptor, size: u64) -> Result<bool, ImageError> {
        let blobs = self.store.blobs();
        let Some(blob) = blobs.open_known(&descriptor.digest)? else {
            return Ok(false);
        };
        let tar = unpacked(blob, self.recipe.compression()).map_err(ImageError::io("zstd"))?;
        let expect = Expect {
            digest: Some(self.diff_id),
            size: Some(size),
        };
        match blobs.ingest(tar, expect) {
            Ok(_) => Ok(true),
            Err(error) if is_of_bytes(&error) => {
                tracing::debug!(layer = %self.diff_id, %error, "a compressed form is not one");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// True when the bytes are at fault, and not this machine.
fn is_of_bytes(error: &StoreError) -> bool {
    match error {
        StoreError::WrongDigest { .. }
        | StoreError::WrongSize { .. }
        | StoreError::Damaged { .. } => true,
        StoreError::Io { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::Other
        ),
        _ => false,
    }
}

fn origin_key(blob: &Digest) -> FactKey {
    FactKey::new(ORIGINS, blob.as_bytes())
}
