//! Applying a blob: its directory form and its listing, made in one pass over the bytes.
//!
//! The contents are set aside while the tar is read, small ones in memory and large ones in files
//! of their own. The tree is built from the finished listing, when the diff id is known to match:
//! what a tar says twice, late or under a link never touches a path.

use crate::build::{self, Contents, Form};
use crate::dirs::{self, LISTING, ROOT_MARK};
use crate::entry::{Entry, EntryKind, path_bytes};
use crate::error::{BadLayer, SnapshotError};
use crate::layer::{DirForm, Layer, Origin, Snapshot};
use crate::listing::{Listing, RootEntry};
use crate::scan::{self, ContentSink, LayerInput};
use crate::snapshots::Snapshots;
use crate::sys;
use crate::tree::{Built, Content};
use acetate_oci::{Compression, Descriptor, Digest, DigestHasher};
use acetate_store::{ActiveLayer, Directory, LayerId, LayerRow};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Files up to this size are set aside in memory, as long as [`MAX_IN_MEMORY`] lasts.
const SMALL: u64 = 128 * 1024;
const MAX_IN_MEMORY: u64 = 128 << 20;

/// The directory form of a blob layer as its listings below have it: what it is if those are right.
#[derive(Debug)]
pub(crate) struct Draft {
    active: ActiveLayer,
    pub(crate) listing: Listing,
    root: RootEntry,
}

impl Draft {
    /// Where its files are.
    pub(crate) fn path(&self) -> PathBuf {
        self.active.fs_path()
    }

    /// Gives it its place in the store. Everything below is known to be right by now.
    pub(crate) fn publish(
        self,
        snapshots: &Snapshots,
        layer: &Layer,
    ) -> Result<DirForm, SnapshotError> {
        let published = self.active.publish()?;
        let mut row = LayerRow::new(published.id, snapshots.now());
        row.parent = layer.base().layers().last().map(Layer::id);
        if let Origin::Blob { diff_id, blob } = &layer.0.origin {
            row.diff_id = Some(*diff_id);
            row.size = blob.size;
            row.blob = Some(crate::snapshots::blob_ref(blob));
        }
        row.directory = Directory::written(snapshots.0.store.boot());
        snapshots.0.store.index().put_layer(row);
        crate::listings::remember(layer, self.listing);
        Ok(DirForm {
            path: published.path,
            root: self.root,
        })
    }
}

/// Unpacks the blob of a layer, beside the place of its directory form.
pub(crate) fn draft(snapshots: &Snapshots, layer: &Layer) -> Result<Draft, SnapshotError> {
    let (Origin::Blob { diff_id, blob }, LayerId::Chain(chain)) = (&layer.0.origin, layer.id())
    else {
        return Err(SnapshotError::Lost(layer.id().to_string()));
    };
    let diff_id = *diff_id;
    let base = snapshots.merged(layer.base())?;
    let active = snapshots.0.store.layers().new_chain_layer(&chain)?;
    let mut aside = Aside::new(active.fs_path().with_file_name("aside"))?;
    let input = open_blob(snapshots, diff_id, blob)?;
    let bad = |source| match source {
        // Contents are written while the layer is read, and a full disk is no fault of its bytes.
        BadLayer::Unreadable(error) if error.kind() == io::ErrorKind::StorageFull => {
            SnapshotError::io("unpack a layer to", active.fs_path())(error)
        }
        source => SnapshotError::Bad {
            layer: blob.digest,
            source,
        },
    };
    let built =
        scan::read_layer(input, &base, snapshots.0.options.limits, &mut aside).map_err(bad)?;
    let root = build_tree(snapshots, layer.base(), &built, aside, &active)?;
    let listing = built.listing;
    write_beside(&active, LISTING, &listing.encode())?;
    Ok(Draft {
        active,
        listing,
        root,
    })
}

/// Opens the blob of a layer for reading.
pub(crate) fn open_blob(
    snapshots: &Snapshots,
    diff_id: Digest,
    blob: &Descriptor,
) -> Result<LayerInput<impl Read + use<>>, SnapshotError> {
    let compression = blob.media_type.compression();
    let lost = || SnapshotError::Lost(blob.digest.to_string());
    let reader: Box<dyn Read> = if blob.digest == diff_id {
        // Whoever reads a layer compares it with its diff id: a plain one is not hashed twice.
        let path = snapshots.0.store.blobs().path(&blob.digest);
        match File::open(&path) {
            Ok(file) => Box::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost()),
            Err(error) => return Err(SnapshotError::io("open", path)(error)),
        }
    } else {
        let reader = snapshots.0.store.blobs().open(&blob.digest)?;
        Box::new(reader.ok_or_else(lost)?)
    };
    Ok(LayerInput {
        reader,
        compression: compression.unwrap_or(Compression::None),
        diff_id,
    })
}

fn build_tree(
    snapshots: &Snapshots,
    base: &Snapshot,
    built: &Built,
    aside: Aside,
    active: &ActiveLayer,
) -> Result<RootEntry, SnapshotError> {
    let mut contents = Applied {
        built,
        below: below(snapshots, base, &built.contents)?,
        aside,
    };
    let form = Form::Layer(snapshots.0.options.overlay);
    build::build(&active.fs_path(), &built.listing, form, &mut contents)?;
    contents.aside.remove()?;
    if built.listing.get(Path::new("")).is_none() {
        return Ok(RootEntry::Inherited);
    }
    write_beside(active, ROOT_MARK, b"")?;
    Ok(RootEntry::Own)
}

/// Writes a small file beside the content of a layer.
pub(crate) fn write_beside(
    active: &ActiveLayer,
    name: &str,
    bytes: &[u8],
) -> Result<(), SnapshotError> {
    let path = active.fs_path().with_file_name(name);
    std::fs::write(&path, bytes).map_err(SnapshotError::io("write", path))
}

/// Contents set aside: some in memory, some under their number in a directory.
pub(crate) struct Aside {
    dir: PathBuf,
    held: Vec<Option<Vec<u8>>>,
    in_memory: u64,
}

impl Aside {
    /// Uses a directory that does not exist yet.
    pub(crate) fn new(dir: PathBuf) -> Result<Self, SnapshotError> {
        std::fs::create_dir(&dir).map_err(SnapshotError::io("make", &dir))?;
        Ok(Self {
            dir,
            held: Vec::new(),
            in_memory: 0,
        })
    }

    fn path(&self, number: usize) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// Removes what no entry took: files that a later entry of the tar replaced.
    pub(crate) fn remove(&self) -> Result<(), SnapshotError> {
        std::fs::remove_dir_all(&self.dir).map_err(SnapshotError::io("remove", &self.dir))
    }
}

impl ContentSink for Aside {
    fn store(&mut self, content: &mut dyn Read, size: u64) -> io::Result<(Digest, usize)> {
        let number = self.held.len();
        if size <= SMALL && self.in_memory + size <= MAX_IN_MEMORY {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            content.read_to_end(&mut bytes)?;
            self.in_memory += size;
            let digest = Digest::of(&bytes);
            self.held.push(Some(bytes));
            return Ok((digest, number));
        }
        let mut file = File::create_new(self.path(number))?;
        let digest = copy_hashed(content, &mut file)?;
        self.held.push(None);
        Ok((digest, number))
    }

    fn bytes(&self, number: usize) -> Option<&[u8]> {
        self.held.get(number)?.as_deref()
    }
}

fn copy_hashed(content: &mut dyn Read, out: &mut dyn Write) -> io::Result<Digest> {
    let mut hasher = DigestHasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = content.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..n]);
        out.write_all(&buffer[..n])?;
    }
}

/// Places what was set aside, and copies what a hard link reached down to.
pub(crate) struct Applied<'a> {
    pub(crate) built: &'a Built,
    /// The layer directories that hard links reach down to.
    pub(crate) below: HashMap<usize, PathBuf>,
    pub(crate) aside: Aside,
}

/// Makes the directory forms of those layers that contents come from; nearly always none.
fn below(
    snapshots: &Snapshots,
    base: &Snapshot,
    contents: &HashMap<PathBuf, Content>,
) -> Result<HashMap<usize, PathBuf>, SnapshotError> {
    let mut dirs = HashMap::new();
    for content in contents.values() {
        if let Content::Below { layer, .. } = content
            && !dirs.contains_key(layer)
        {
            dirs.insert(*layer, dirs::readable(snapshots, &base.layers()[*layer])?);
        }
    }
    Ok(dirs)
}

impl Applied<'_> {
    fn place(&mut self, entry: &Entry, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
        match self.built.contents.get(&entry.path) {
            Some(Content::Own(number)) => {
                if let Some(bytes) = self.aside.held.get_mut(*number).and_then(Option::take) {
                    let mut file = File::from(build::create(dir, name)?);
                    file.write_all(&bytes)?;
                    return Ok(file.into());
                }
                rustix::fs::renameat(rustix::fs::CWD, self.aside.path(*number), dir, name)?;
                Ok(sys::open_below(dir, name, OFlags::WRONLY)?)
            }
            Some(Content::Below { layer, path }) => {
                let source = self.below.get(layer).ok_or(io::ErrorKind::NotFound)?;
                let source = sys::open_dir(source)?;
                let source = sys::open_below(source.as_fd(), path_bytes(path), OFlags::RDONLY)?;
                let mut file = File::from(build::create(dir, name)?);
                io::copy(&mut File::from(source), &mut file)?;
                Ok(file.into())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Contents for Applied<'_> {
    fn make(
        &mut self,
        entry: &Entry,
        dir: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<OwnedFd, SnapshotError> {
        debug_assert!(matches!(entry.kind, EntryKind::File { .. }));
        let placed = self.place(entry, dir, name);
        placed.map_err(SnapshotError::io("write", &entry.path))
    }
}

/// Scans the blob of a layer for its listing alone.
pub(crate) fn scan_blob(snapshots: &Snapshots, layer: &Layer) -> Result<Listing, SnapshotError> {
    let Origin::Blob { diff_id, blob } = &layer.0.origin else {
        return Err(SnapshotError::Lost(layer.id().to_string()));
    };
    let base = snapshots.merged(layer.base())?;
    let input = open_blob(snapshots, *diff_id, blob)?;
    let limits = snapshots.0.options.limits;
    let mut digests = scan::Digests::default();
    let built = scan::read_layer(input, &base, limits, &mut digests);
    let bad = |source: BadLayer| SnapshotError::Bad {
        layer: blob.digest,
        source,
    };
    Ok(built.map_err(bad)?.listing)
}

/// Reads the names and attributes of the blob of a layer; no byte of a file is hashed.
///
/// What a blob of the store holds was compared with its digest when it came.
pub(crate) fn outline_blob(snapshots: &Snapshots, layer: &Layer) -> Result<Listing, SnapshotError> {
    let Origin::Blob { diff_id, blob } = &layer.0.origin else {
        return Err(SnapshotError::Lost(layer.id().to_string()));
    };
    let base = snapshots.merged(layer.base())?;
    let path = snapshots.0.store.blobs().path(&blob.digest);
    let input = LayerInput {
        reader: File::open(&path).map_err(SnapshotError::io("open", &path))?,
        compression: blob.media_type.compression().unwrap_or(Compression::None),
        diff_id: *diff_id,
    };
    let outline = scan::outline(input, &base, snapshots.0.options.limits);
    outline.map_err(|source| SnapshotError::Bad {
        layer: blob.digest,
        source,
    })
}

/// Reads the listing that lies beside a directory form.
pub(crate) fn listing_beside(dir: &DirForm) -> Option<Listing> {
    let path = dir.path.with_file_name(dirs::LISTING);
    let bytes = std::fs::read(&path).ok()?;
    match Listing::decode(&bytes) {
        Ok(listing) => Some(listing),
        Err(error) => {
            tracing::debug!(?path, %error, "a stored listing is made anew");
            None
        }
    }
}
