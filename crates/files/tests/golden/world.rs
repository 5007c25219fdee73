use crate::mounted::Mounted;
use crate::{listing, tree};
use acetate_oci::Timestamp;
use acetate_snapshot::{DriverChoice, Snapshot, Snapshots};
use acetate_store::Store;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The time of what nobody dated.
pub(crate) const NOW: i64 = 2_000_000_000;
pub(crate) const CONTEXT_TIME: i64 = 1_000_000_000;
pub(crate) const BASE_TIME: i64 = 900_000_000;
pub(crate) const STAGE_TIME: i64 = 800_000_000;
pub(crate) const ARCHIVE_TIME: i64 = 700_000_000;

/// A store with one driver, gone with this value.
pub(crate) struct World {
    pub(crate) snapshots: Snapshots,
    store: Arc<Store>,
    dir: tempfile::TempDir,
}

impl World {
    /// One for each driver.
    pub(crate) fn both() -> [Self; 2] {
        [DriverChoice::Overlay, DriverChoice::Copy].map(|driver| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("store")).unwrap();
            Self {
                snapshots: Snapshots::open(Arc::clone(&store), driver),
                store,
                dir,
            }
        })
    }

    /// An empty directory on the host.
    pub(crate) fn host_dir(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(self.dir.path()).unwrap()
    }

    /// Makes the lines of a tree a layer over a snapshot.
    pub(crate) fn layer(&self, base: &Snapshot, text: &str, time: i64) -> Snapshot {
        let layer = self.snapshots.prepare_layer(base).unwrap();
        for name in tree::make(layer.path(), text, time) {
            let parent = tree::open_parent(layer.path(), &name);
            let name = name.file_name().unwrap();
            layer
                .delete(std::os::fd::AsFd::as_fd(&parent), Path::new(name))
                .unwrap();
        }
        layer.commit().unwrap()
    }

    /// The tar of the topmost layer, entry by entry.
    pub(crate) fn tar(&self, snapshot: &Snapshot) -> String {
        let layer = snapshot.layers().last().unwrap();
        let sealed = self.snapshots.seal(layer).unwrap();
        let blob = self.store.blobs().open(&sealed.blob.digest).unwrap();
        let mut bytes = Vec::new();
        blob.unwrap().read_to_end(&mut bytes).unwrap();
        listing::of_tar(&bytes)
    }

    /// What a step over a snapshot sees, which is what the view of it says.
    pub(crate) fn root(&self, snapshot: &Snapshot) -> String {
        let active = self.snapshots.prepare(snapshot).unwrap();
        let mounted = Mounted::new(active.root());
        let seen = listing::of_dir(&mounted.path);
        assert_eq!(
            listing::of_view(&self.snapshots.view(snapshot).unwrap()),
            seen
        );
        seen
    }
}

pub(crate) fn time_mark(time: Timestamp) -> String {
    match time.secs {
        _ if time.nanos != 0 => format!("{}.{:09}", time.secs, time.nanos),
        NOW => "now".to_owned(),
        CONTEXT_TIME => "context".to_owned(),
        BASE_TIME => "base".to_owned(),
        STAGE_TIME => "stage".to_owned(),
        ARCHIVE_TIME => "archive".to_owned(),
        secs => secs.to_string(),
    }
}
