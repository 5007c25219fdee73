use acetate_oci::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The times that the directories of a layer have at the end, since writing into them changes
/// them.
#[derive(Debug, Default)]
pub(crate) struct DirTimes(BTreeMap<PathBuf, DirTime>);

#[derive(Debug, Clone, Copy)]
struct DirTime {
    time: Timestamp,
    /// It is a directory of the base, repeated only because something below it changes.
    is_inherited: bool,
}

impl DirTimes {
    /// True when the layer has the directory.
    pub(crate) fn has(&self, dir: &Path) -> bool {
        self.0.contains_key(dir)
    }

    /// Takes up a directory of the base with its time.
    pub(crate) fn inherit(&mut self, dir: &Path, time: Timestamp) {
        let is_inherited = true;
        self.0
            .insert(dir.to_owned(), DirTime { time, is_inherited });
    }

    /// Gives a directory a time.
    pub(crate) fn set(&mut self, dir: &Path, time: Timestamp) {
        let is_inherited = false;
        self.0
            .insert(dir.to_owned(), DirTime { time, is_inherited });
    }

    /// Moves the time of a directory that the layer made or gave a time; one that is inherited
    /// keeps its own.
    pub(crate) fn touch(&mut self, dir: &Path, now: Timestamp) {
        if let Some(found) = self.0.get_mut(dir)
            && !found.is_inherited
        {
            found.time = now;
        }
    }

    /// Forgets a directory and all below it.
    pub(crate) fn forget(&mut self, dir: &Path) {
        self.0.retain(|path, _| !path.starts_with(dir));
    }

    /// All directories, those below first.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = (&Path, Timestamp)> {
        let times = self.0.iter().rev();
        times.map(|(path, found)| (path.as_path(), found.time))
    }
}
