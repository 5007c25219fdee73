//! Kills a working process again and again and looks at what it leaves.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use acetate_oci::{Digest, MediaType, Timestamp};
use acetate_store::{
    BlobRef, Directory, LayerId, LayerRow, Object, PruneOptions, Record, RecordKey, Store,
};

const N_KILLS: u32 = 40;
const N_FILES: usize = 20;

pub(super) fn test() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    for n in 0..N_KILLS {
        // Two at once, so that one dies while the other works on the same objects.
        let mut victims = ["a", "b"].map(|name| start(temp.path(), name));
        // Each kill at another moment of the work, also during the first open.
        std::thread::sleep(Duration::from_micros(u64::from(n) * 1700));
        for victim in &mut victims {
            kill(victim);
            check(temp.path());
        }
    }
    let store = Store::open(temp.path()).expect("a store opens after any kill");
    let usage = store
        .usage()
        .expect("a store can be measured after any kill");
    let n_objects = usage.blobs.n + usage.layers.n + usage.trash.n;
    assert!(n_objects > 0, "the victims must get to work");
    let report = store
        .prune(&PruneOptions::ALL)
        .expect("a store can be pruned after any kill");
    assert_eq!(
        (report.kept.len(), report.failures.len()),
        (0, 0),
        "{report:?}"
    );
    let usage = store.usage().expect("a store can be measured");
    let left = usage.blobs.n + usage.layers.n + usage.temporary.n + usage.trash.n;
    assert_eq!((left, usage.records, usage.facts), (0, 0, 0), "{usage:?}");
}

fn kill(victim: &mut Child) {
    victim.kill().expect("a running process can be killed");
    let status = victim.wait().expect("a killed process ends");
    assert_eq!(
        status.signal(),
        Some(9),
        "the victim failed on its own: {status}"
    );
}

fn start(root: &Path, name: &str) -> Child {
    let root = root.to_str().expect("temporary paths are text");
    super::victim(&["work-until-killed", root, name])
        .stdin(Stdio::null())
        .spawn()
        .expect("this binary starts")
}

/// The victim: makes blobs, layers, rows and records, and prunes in between.
pub(super) fn work(root: &Path, name: &str) {
    for n in 0_u32.. {
        let store = Store::open(root).expect("a store opens");
        step(&store, name, n);
        if n % 5 == 4 {
            drop(store);
            let store = Store::open(root).expect("a store opens");
            store
                .prune(&PruneOptions::ALL)
                .expect("a store can be pruned");
        }
    }
}

fn step(store: &Arc<Store>, name: &str, n: u32) {
    let mut writer = store.blobs().writer().expect("a blob can be started");
    for part in 0..40_u8 {
        writer
            .write_all(&vec![part; 5000])
            .expect("a blob can be written");
    }
    // The same for both victims in every round.
    writer
        .write_all(&n.to_be_bytes())
        .expect("a blob can be written");
    let blob = writer
        .commit(acetate_store::Expect::ANY)
        .expect("a blob can be finished");
    let layers = store.layers();
    let local = layers.new_layer().expect("a layer can be started");
    let chain = layers
        .new_chain_layer(&blob.digest)
        .expect("a layer can be started");
    for layer in [local, chain] {
        for file in 0..N_FILES {
            let path = layer.fs_path().join(format!("file {file}"));
            std::fs::write(path, name).expect("a layer can be filled");
        }
        let id = layer.publish().expect("a layer can be published").id;
        let mut row = LayerRow::new(id, Timestamp::new(1, 0));
        row.directory = Directory::written(store.boot());
        row.blob = Some(BlobRef {
            media_type: MediaType::OCI_LAYER,
            digest: blob.digest,
            size: blob.size,
        });
        store.index().put_layer(row);
        let record = Record {
            payload: id.to_string().into_bytes(),
            layers: vec![id],
        };
        store.index().put_records(vec![(key(n), record)]);
    }
    store.flush().expect("the index can be written");
}

fn key(n: u32) -> RecordKey {
    RecordKey {
        space: 0,
        key: *Digest::of(&n.to_be_bytes()).as_bytes(),
        output: 0,
    }
}

/// Whatever is visible must be whole.
fn check(root: &Path) {
    let store = Store::open(root).expect("a store opens after any kill");
    let usage = store
        .usage()
        .expect("a store can be measured after any kill");
    for item in usage.items {
        match item.object {
            Object::Blob(digest) => check_blob(&store, &digest),
            Object::Layer(id) => check_layer(&store, &id),
        }
    }
    for n in 0..20 {
        let found = store
            .index()
            .records(&[key(n)])
            .expect("a record can be asked for");
        for record in found.iter().flatten() {
            assert_eq!(record.payload, record.layers[0].to_string().into_bytes());
        }
    }
}

fn check_blob(store: &Store, digest: &Digest) {
    match store.blobs().read(digest, 1 << 20) {
        // The other victim may prune meanwhile.
        Ok(None) => {}
        Ok(Some(bytes)) => assert_eq!(Digest::of(&bytes), *digest),
        Err(error) => panic!("half a blob is visible: {error}"),
    }
}

fn check_layer(store: &Store, id: &LayerId) {
    let Some(hold) = store.layers().hold(id).expect("a layer can be held") else {
        return;
    };
    let files = std::fs::read_dir(hold.path()).expect("a held layer stays");
    assert_eq!(files.count(), N_FILES, "half a layer is visible");
}
