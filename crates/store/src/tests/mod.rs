//! Tests of the store as a whole.

mod blobs;
mod cache_mounts;
mod index;
mod layers;
mod open;
mod prune;
mod speed;
mod survey;

use std::path::Path;
use std::sync::Arc;

use acetate_oci::{Digest, MediaType, Timestamp};
use acetate_stdx::clock::FixedClock;

use crate::{BlobRef, BootId, Directory, LayerId, LayerRow, Record, RecordKey, Store};

const NOW: i64 = 1_800_000_000;

fn open(root: &Path) -> Arc<Store> {
    Store::open(root).unwrap()
}

fn open_at(root: &Path, boot: u8, clock: &Arc<FixedClock>) -> Arc<Store> {
    let clock: Arc<FixedClock> = Arc::clone(clock);
    Store::open_in(root, BootId::from_bytes([boot; 16]), clock).unwrap()
}

/// Publishes a layer with one file and puts its row.
fn make_layer(store: &Store) -> LayerId {
    let layer = store.layers().new_layer().unwrap();
    std::fs::write(layer.fs_path().join("file"), "content").unwrap();
    let layer = layer.publish().unwrap();
    store.index().put_layer(row_of(store, layer.id));
    layer.id
}

fn row_of(store: &Store, id: LayerId) -> LayerRow {
    let mut row = LayerRow::new(id, Timestamp::new(NOW, 5));
    row.directory = Directory::written(store.boot());
    row
}

fn blob_ref(bytes: &[u8]) -> BlobRef {
    let digest = Digest::of(bytes);
    BlobRef {
        media_type: MediaType::OCI_LAYER,
        digest,
        size: bytes.len() as u64,
    }
}

fn key(n: u32) -> RecordKey {
    RecordKey {
        space: 1,
        key: *Digest::of(&n.to_be_bytes()).as_bytes(),
        output: n % 3,
    }
}

fn record(payload: &[u8], layers: &[LayerId]) -> Record {
    Record {
        payload: payload.to_vec(),
        layers: layers.to_vec(),
    }
}

/// The names below a directory of the store.
fn names(store: &Store, dir: &str) -> Vec<String> {
    crate::usage::entries(&store.root().join(dir))
        .unwrap()
        .into_iter()
        .map(|(n, _)| n)
        .collect()
}
