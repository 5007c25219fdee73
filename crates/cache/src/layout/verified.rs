//! What the store knows of blobs of layers: which tar is in them, and which copy is damaged.

use acetate_oci::{Descriptor, Digest};
use acetate_store::{FactKey, Object, Store, StoreError};

/// The space of facts `blob -> diff_id`, each of which was made true here or found true here.
const UNPACKED: &str = "unpacked-layer";
/// The space of facts about copies in layouts that turned out to be of no use.
const SPOILT: &str = "spoilt-layer";

/// Notes that a blob was unpacked and gave a tar, or was made from it.
pub(crate) fn note(store: &Store, blob: &Digest, diff_id: &Digest) {
    let key = FactKey::new(UNPACKED, blob.as_bytes());
    let value = diff_id.as_bytes().to_vec();
    store.index().put_facts(vec![(key, value)]);
}

/// True when it is known that a blob unpacks to a tar.
pub(crate) fn holds(store: &Store, blob: &Digest, diff_id: &Digest) -> Result<bool, StoreError> {
    if blob == diff_id {
        return Ok(true);
    }
    let facts = store
        .index()
        .facts(&[FactKey::new(UNPACKED, blob.as_bytes())])?;
    Ok(facts
        .into_iter()
        .flatten()
        .any(|fact| fact == diff_id.as_bytes()))
}

/// A blob in the store that is known to unpack to a tar; it is pinned.
pub(crate) fn find(store: &Store, diff_id: &Digest) -> Result<Option<Descriptor>, StoreError> {
    for row in store.index().layers_by_diff(diff_id)? {
        let Some(blob) = row.blob else {
            continue;
        };
        let is_packed = blob.digest != *diff_id && blob.media_type.is_layer();
        if is_packed && holds(store, &blob.digest, diff_id)? && is_here(store, &blob.digest)? {
            let blob = Descriptor::new(blob.media_type, blob.digest, blob.size);
            return Ok(Some(blob));
        }
    }
    Ok(None)
}

/// True when a blob is in the store; it is pinned then.
pub(crate) fn is_here(store: &Store, blob: &Digest) -> Result<bool, StoreError> {
    let pinned = store.live().pin(&[Object::Blob(*blob)])?;
    Ok(pinned == [true] && store.blobs().has(blob)?.is_some())
}

/// Notes that what lies in some layout as a blob is of no use as this tar, so that a build which
/// writes there replaces it, though it looks as it should.
pub(crate) fn note_spoilt(store: &Store, place: &str, blob: &Digest) {
    store
        .index()
        .put_facts(vec![(spoilt_key(place, blob), Vec::new())]);
}

/// Forgets that, when the blob was written anew.
pub(crate) fn forget_spoilt(store: &Store, place: &str, blob: &Digest) {
    store.index().drop_fact(&spoilt_key(place, blob));
}

/// True when a blob of a layout was found to be of no use.
pub(crate) fn is_spoilt(store: &Store, place: &str, blob: &Digest) -> Result<bool, StoreError> {
    let facts = store.index().facts(&[spoilt_key(place, blob)])?;
    Ok(facts.into_iter().flatten().next().is_some())
}

fn spoilt_key(place: &str, blob: &Digest) -> FactKey {
    let subject = [blob.as_bytes(), place.as_bytes()].concat();
    FactKey::new(SPOILT, &subject)
}
