//! Plain directories, such as those of cache mounts, as the tar of one layer, and back.
//!
//! What no such directory needs, and no machine should get from another, is left out on both ways:
//! device nodes, and whatever overlayfs or a layer would take for a deletion. Sockets are gone with
//! the process that made them.

use crate::apply::{Applied, Aside};
use crate::build::{self, Form};
use crate::entry::{Entry, EntryKind};
use crate::error::SnapshotError;
use crate::layer_tar::{ClampTimes, TarWriter, padding};
use crate::listing::{self, Listing, RootEntry};
use crate::listings;
use crate::merged::Merged;
use crate::scan::{self, LayerInput};
use crate::seal;
use crate::snapshots::Snapshots;
use crate::sys;
use acetate_oci::{Digest, DigestHasher, Timestamp};
use rustix::fs::Stat;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;

/// What a directory holds at one moment, seen without reading any file.
#[derive(Clone, Debug)]
pub struct Survey {
    listing: Listing,
    fingerprint: Digest,
    newest_change: Timestamp,
    tar_size: u64,
}

impl Survey {
    /// Returns a digest that is another one after every change: over names, inodes, attributes,
    /// sizes and the times of changes, which no program can set back.
    ///
    /// A change within the grain of the file system's clock after the survey may escape it, see
    /// [`Survey::newest_change`].
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Returns when something below was changed last, by the clock of the file system.
    pub fn newest_change(&self) -> Timestamp {
        self.newest_change
    }

    /// Returns the size in bytes of the tar that [`Snapshots::pack`] writes.
    pub fn tar_size(&self) -> u64 {
        self.tar_size
    }
}

/// Who says what the top of an unpacked directory is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// The tar: its attributes are set.
    Described,
    /// Nobody: it is as it was.
    Untold,
}

impl Snapshots {
    /// Looks at all names below `dir`, which others may change meanwhile. Two or three system calls
    /// per name.
    pub fn survey(&self, dir: &Path) -> Result<Survey, SnapshotError> {
        let mut hasher = DigestHasher::new();
        hasher.update(b"acetate/directory/v1\n");
        let mut newest_change = Timestamp::default();
        let options = listings::walk_options(self, RootEntry::Own);
        let listing = listing::walk_with(dir, options, &mut |entry, stat| {
            note(&mut hasher, entry, stat);
            newest_change = newest_change.max(change(stat));
        })?;
        let listing = plain(listing.into_entries());
        let tar_size =
            tar_size(&listing).map_err(SnapshotError::io("measure the layer of", dir))?;
        Ok(Survey {
            listing,
            fingerprint: hasher.finish(),
            newest_change,
            tar_size,
        })
    }

    /// Writes the tar of a directory as it was surveyed: times are kept, hard links stay links, and
    /// equal directories give equal bytes.
    ///
    /// Fails when a file is gone or has another size by now. Whether anything else has changed
    /// tells another survey.
    pub fn pack<W: Write>(&self, dir: &Path, survey: Survey, out: W) -> Result<W, SnapshotError> {
        let (out, _) = seal::write_tar(dir, survey.listing, out, ClampTimes::Keep)?;
        Ok(out)
    }

    /// Makes what such a tar describes in `dir`, which is empty and nobody else's. `aside` is a
    /// path on the same file system that is free, and is again afterwards.
    ///
    /// Nothing is made before the whole tar was read and is the one that was promised; a failure
    /// later leaves a part in `dir`, and what was set aside.
    pub fn unpack(
        &self,
        input: LayerInput<impl Read>,
        dir: &Path,
        aside: &Path,
    ) -> Result<Top, SnapshotError> {
        let layer = input.diff_id;
        let mut aside = Aside::new(aside.to_owned())?;
        let nothing = Merged::new(Vec::new());
        let built = scan::read_layer(input, &nothing, self.0.options.limits, &mut aside)
            .map_err(|source| SnapshotError::Bad { layer, source })?;
        let listing = plain(built.listing.entries().to_vec());
        let mut contents = Applied {
            built: &built,
            below: HashMap::new(),
            aside,
        };
        let form = Form::Layer(self.0.options.overlay);
        build::build(dir, &listing, form, &mut contents)?;
        contents.aside.remove()?;
        Ok(match listing.get(Path::new("")) {
            Some(_) => Top::Described,
            None => Top::Untold,
        })
    }
}

/// The entries that a plain directory may have.
fn plain(entries: Vec<Entry>) -> Listing {
    let mut kept = Vec::with_capacity(entries.len());
    for mut entry in entries {
        match &mut entry.kind {
            EntryKind::Whiteout | EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
                continue;
            }
            EntryKind::Dir { opaque } => *opaque = false,
            EntryKind::File { .. }
            | EntryKind::Symlink(_)
            | EntryKind::Hardlink(_)
            | EntryKind::Fifo => {}
        }
        kept.push(entry);
    }
    Listing::new(kept).expect("what is left out has nothing below it and no links")
}

fn tar_size(listing: &Listing) -> io::Result<u64> {
    let mut tar = TarWriter::new(Count(0), ClampTimes::Keep);
    let mut contents = 0;
    for entry in listing.entries() {
        tar.append(entry)?;
        if let EntryKind::File { size, .. } = entry.kind {
            contents += size + padding(size) as u64;
        }
    }
    Ok(tar.finish()?.0 + contents)
}

fn note(hasher: &mut DigestHasher, entry: &Entry, stat: &Stat) {
    let path = entry.bytes();
    hasher.update(&(path.len() as u64).to_be_bytes());
    hasher.update(path);
    hasher.update(&stat.st_ino.to_be_bytes());
    for number in [stat.st_mode, stat.st_uid, stat.st_gid] {
        hasher.update(&number.to_be_bytes());
    }
    hasher.update(&stat.st_size.to_be_bytes());
    for time in [sys::mtime(stat), change(stat)] {
        hasher.update(&time.secs.to_be_bytes());
        hasher.update(&time.nanos.to_be_bytes());
    }
}

fn change(stat: &Stat) -> Timestamp {
    let nanos = u32::try_from(stat.st_ctime_nsec).unwrap_or_default();
    Timestamp::new(stat.st_ctime, nanos)
}

/// Counts what is written.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
