use super::*;
use crate::event::NoEvents;
use crate::shared::{Export, Import, Opened};
use crate::{CacheExport, CacheImport, CachePlace, SigningKey};
use acetate_cache::remote::{
    Chunk, Publication, Published, RemoteHit, RemoteLayer, RemoteRecord, Skip,
};
use acetate_cache::{CacheReport, Fidelity, SharedCache};
use acetate_oci::{Descriptor, MediaType, Timestamp};
use acetate_stdx::Redacted;
use acetate_stdx::clock::FixedClock;
use acetate_store::{BlobRef, CacheClaim, CacheFound};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

/// A cache that has one record under every key.
#[derive(Debug)]
struct One {
    store: Arc<Store>,
    record: RemoteRecord,
    signer: Option<String>,
    bytes: Vec<u8>,
}

impl SharedCache for One {
    fn name(&self) -> String {
        "one".to_owned()
    }

    fn lookup<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Vec<Option<RemoteHit>>> {
        let hit = RemoteHit {
            record: self.record.clone(),
            namespace: None,
            signer: self.signer.clone(),
            envelope: None,
        };
        ready(vec![Some(hit); keys.len()]).boxed()
    }

    fn listing<'a>(&'a self, _layer: &'a RemoteLayer) -> BoxFuture<'a, Result<Vec<u8>, Lost>> {
        ready(Err(Lost::Elsewhere)).boxed()
    }

    fn fetch<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<BlobRef, Lost>> {
        let put = self.store.blobs().put(&self.bytes).unwrap();
        let blob = BlobRef {
            media_type: MediaType::OCI_LAYER,
            digest: put.digest,
            size: layer.size,
        };
        ready(Ok(blob)).boxed()
    }

    fn publish<'a>(&'a self, _: &'a Publication) -> BoxFuture<'a, Published> {
        ready(Published::Skipped(Skip::Reduced)).boxed()
    }

    fn close(&self) -> BoxFuture<'_, CacheReport> {
        ready(CacheReport::default()).boxed()
    }
}

struct Ground {
    mounts: MountsIn,
    _dir: tempfile::TempDir,
}

/// A machine whose caches all have these layers.
fn ground(bytes: &[u8], layers: Vec<RemoteLayer>, signer: Option<&str>, trust: &Trust) -> Ground {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let one = One {
        store: Arc::clone(&store),
        record: RemoteRecord {
            layers,
            duration_ms: 0,
            fidelity: Fidelity::Full,
            made_of: Vec::new(),
        },
        signer: signer.map(str::to_owned),
        bytes: bytes.to_vec(),
    };
    let opened = Opened {
        cache: Arc::new(one),
        server: None,
    };
    let spec = CacheImport {
        place: CachePlace::Inline,
        trust: trust.clone(),
        lease: None,
    };
    let caches = SharedCaches {
        imports: vec![Import { opened, spec }],
        ..SharedCaches::default()
    };
    let mounts = MountsIn {
        snapshots: Snapshots::open(Arc::clone(&store), acetate_snapshot::DriverChoice::Copy),
        store,
        caches,
        progress: Progress::new(Arc::new(NoEvents), Arc::new(FixedClock::at(1))),
    };
    Ground { mounts, _dir: dir }
}

/// A layer in one piece.
fn layer(bytes: &[u8]) -> RemoteLayer {
    let size = u32::try_from(bytes.len()).unwrap();
    RemoteLayer {
        listing: Vec::new(),
        diff_id: Digest::of(bytes),
        size: size.into(),
        created: Timestamp::default(),
        form: LayerForm::Chunks(vec![Chunk {
            raw: Digest::of(bytes),
            raw_size: size,
            stored: Digest::of(bytes),
            stored_size: size,
        }]),
    }
}

/// The tar of a directory with one file.
fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let ids = rustix::process::geteuid().as_raw();
    for (name, kind) in [
        ("./", tar::EntryType::Directory),
        ("file", tar::EntryType::Regular),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o755);
        header.set_uid(ids.into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        tar.append_data(&mut header, name, &[][..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn called() -> acetate_store::CacheMountName {
    acetate_store::CacheMountName {
        id: "id".to_owned(),
        begins: "empty 493 0 0".to_owned(),
    }
}

fn id() -> Digest {
    Digest::of(b"mount")
}

impl Ground {
    /// Whether the directory began with what the cache has.
    async fn is_filled(&self) -> bool {
        let vacancy = self.mounts.fill(&id(), &called()).await.unwrap();
        let claim = self
            .mounts
            .store
            .cache_mounts()
            .claim(&id(), CacheClaim::Shared);
        match (vacancy, claim.unwrap()) {
            (None, CacheFound::Held(hold)) => hold.path().join("file").exists(),
            (Some(_), CacheFound::Missing(_)) => false,
            (vacancy, found) => panic!("{vacancy:?} and {found:?}"),
        }
    }

    fn n_blobs(&self) -> u64 {
        self.mounts.store.usage().unwrap().blobs.n
    }
}

#[tokio::test]
async fn a_directory_begins_with_what_a_cache_has_and_no_copy_is_kept() {
    let tar = tar();
    let ground = ground(&tar, vec![layer(&tar)], None, &Trust::Anyone);
    assert!(ground.is_filled().await);
    assert_eq!(ground.n_blobs(), 0);
    let fact = MountFact::find(&ground.mounts.store, &id(), "one").unwrap();
    assert_eq!(fact.unwrap().diff_id, Digest::of(&tar));
    // It is there now, and nothing is asked any more.
    assert_eq!(ground.mounts.vacancy(&id()).unwrap(), None);
    assert_eq!(ground.mounts.fill(&id(), &called()).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_directory_is_as_good_as_nothing() {
    let tar = tar();
    let cut = &tar[..700];
    let mut nameless = tar.clone();
    nameless.drain(..512);
    let of_image = RemoteLayer {
        form: LayerForm::Blob(Descriptor::of(MediaType::OCI_LAYER, &tar)),
        ..layer(&tar)
    };
    for (what, bytes, layers) in [
        ("garbage", &b"garbage"[..], vec![layer(b"garbage")]),
        ("half a tar", cut, vec![layer(cut)]),
        ("another tar", b"other", vec![layer(&tar)]),
        ("no top", &nameless, vec![layer(&nameless)]),
        ("no layer", &tar, Vec::new()),
        ("two layers", &tar, vec![layer(&tar), layer(&tar)]),
        ("a layer of an image", &tar, vec![of_image]),
    ] {
        let ground = ground(bytes, layers, None, &Trust::Anyone);
        assert!(!ground.is_filled().await, "{what}");
    }
}

#[tokio::test]
async fn who_requires_signatures_takes_nothing_else_and_keeps_nothing_else() {
    let tar = tar();
    let require = Trust::Require("list".into());
    let distrusting = ground(&tar, vec![layer(&tar)], None, &require);
    assert!(!distrusting.is_filled().await);
    let trusting = ground(&tar, vec![layer(&tar)], Some("key"), &require);
    assert!(trusting.is_filled().await);
    assert_eq!(trusting.mounts.vacancy(&id()).unwrap(), None);

    let mut open = ground(&tar, vec![layer(&tar)], None, &Trust::Anyone);
    assert!(open.is_filled().await);
    assert_eq!(open.mounts.vacancy(&id()).unwrap(), None);
    // The same machine, in a build that signs and takes nothing.
    let opened = open.mounts.caches.imports.remove(0).opened;
    let mut spec = CacheExport::new(CachePlace::Inline);
    spec.sign = Some(SigningKey::Value(Redacted::new("key".to_owned())));
    open.mounts.caches.exports = vec![Export { opened, spec }];
    let vacancy = open.mounts.vacancy(&id()).unwrap();
    assert!(
        matches!(vacancy, Some(Vacancy::Distrusted(_))),
        "{vacancy:?}"
    );
    assert_eq!(open.mounts.fill(&id(), &called()).await.unwrap(), vacancy);
}
