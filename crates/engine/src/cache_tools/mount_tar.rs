//! Cache mounts as tars, for other machines and programs.

use super::mount_name::{MountName, Target};
use crate::BuildError;
use crate::engine::Engine;
use acetate_oci::{Compression, Digest};
use acetate_snapshot::{LayerInput, Limits, SnapshotError, Snapshots, Top, diff_id};
use acetate_store::{
    CacheFound, CacheMountItem, CacheMountName, NewCacheMount, Replaced, ScratchDir, Store,
};
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;
use std::sync::Arc;

/// As quick as the disk, and much smaller than nothing.
const LEVEL: i32 = 3;
const BUFFER: usize = 256 << 10;
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How a tar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    Plain,
    /// In one Zstandard frame.
    Zstd,
}

/// What was written of a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedMount {
    /// The digest of the tar, whatever it was packed in.
    pub diff_id: Digest,
    /// The bytes of the tar.
    pub size: u64,
}

/// Whether what is in a tar may enter steps whose results are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportTrust {
    /// It may: who imports it vouches for it.
    Vouched,
    /// It may not: such a build begins the mount anew.
    Unsigned,
}

/// What was made of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountImport {
    /// The cache mount that has it now.
    pub mount: CacheMountItem,
    /// The digest of the tar, whatever it was packed in.
    pub diff_id: Digest,
    /// The bytes of the tar.
    pub size: u64,
}

impl Engine {
    /// Writes the tar of a cache mount: the directory that the next step would get. Equal directories
    /// give equal tars. Nobody can have the directory alone meanwhile. Blocks.
    ///
    /// # Errors
    /// When a step has it alone, or changes it while it is read; then `out` holds a part of a tar.
    pub fn export_mount(
        &self,
        mount: &CacheMountItem,
        packing: Packing,
        out: impl Write,
    ) -> Result<PackedMount, BuildError> {
        let held = match self.store.cache_mounts().hold(&mount.identity)? {
            CacheFound::Held(held) => held,
            CacheFound::Busy => return Err(in_use(mount.name.as_ref().map(|name| &*name.id))),
            CacheFound::Missing(_) => {
                return Err(BuildError::request_with(
                    "the cache mount is gone",
                    "`acetate cache ls --mounts` lists those that are here",
                ));
            }
        };
        let survey = self.snapshots.survey(held.path())?;
        let fingerprint = survey.fingerprint();
        let pack = |out: &mut dyn Write| {
            let hashed = acetate_oci::HashingWriter::new(out);
            let (_, diff_id, size) = (self.snapshots.pack(held.path(), survey, hashed))
                .map_err(changed_or)?
                .finish();
            Ok::<_, BuildError>(PackedMount { diff_id, size })
        };
        let packed = write_packed(packing, out, pack)?;
        if self.snapshots.survey(held.path())?.fingerprint() != fingerprint {
            return Err(changed());
        }
        Ok(packed)
    }

    /// Puts what a tar describes in the place of a cache mount, which is made where it is missing.
    /// The tar may be plain or in gzip or Zstandard, and anything that can be read.
    ///
    /// The whole tar is read and checked by the rules for layers before anything is made of it, and
    /// what was there goes only when all of the new directory is there.
    ///
    /// # Errors
    /// When the tar breaks a rule, or a step uses the mount; all is then as it was.
    pub async fn import_mount(
        &self,
        name: &MountName,
        tar: File,
        trust: ImportTrust,
    ) -> Result<MountImport, BuildError> {
        let target = self.target(name)?;
        // Builds that begin the mount with what a cache has wait.
        let _alone = (self.store)
            .lock(&format!("cache-mount-{}", target.identity.hex()))
            .await?;
        let importer = Importer {
            store: Arc::clone(&self.store),
            snapshots: self.snapshots.clone(),
        };
        acetate_stdx::blocking(move || importer.import(&target, tar, trust)).await
    }
}

/// Makes directories of tars; owns what it needs, since that blocks.
struct Importer {
    store: Arc<Store>,
    snapshots: Snapshots,
}

impl Importer {
    fn import(
        &self,
        target: &Target,
        tar: File,
        trust: ImportTrust,
    ) -> Result<MountImport, BuildError> {
        let mut tar = self.seekable(tar)?;
        let compression = tar.compression()?;
        let refused = |source| BuildError::request(format!("the tar is refused: {source}"));
        let found = diff_id(tar.reader()?, compression, Limits::default());
        let (diff_id, size) = found.map_err(refused)?;
        if size == 0 {
            // What a program that failed gives to the next one; an empty tar has at least its end.
            return Err(BuildError::request("the tar is refused: there is nothing"));
        }
        let mounts = self.store.cache_mounts();
        let new = mounts.create(mounts.successor(&target.identity)?)?;
        let path = new.path();
        let input = LayerInput {
            reader: tar.reader()?,
            compression,
            diff_id,
        };
        let aside = path.with_file_name("aside");
        match self.snapshots.unpack(input, &path, &aside) {
            Ok(Top::Described) => {}
            Ok(Top::Untold) => own_top(&new, &target.name)?,
            Err(SnapshotError::Bad { source, .. }) => return Err(refused(source)),
            Err(error) => return Err(error.into()),
        }
        new.describe(&target.name)?;
        if trust == ImportTrust::Unsigned {
            new.mark_unsigned()?;
        }
        if new.replace()? == Replaced::InUse {
            return Err(in_use(Some(&target.name.id)));
        }
        let mut made = mounts.list()?.into_iter();
        let mount = made.find(|mount| mount.identity == target.identity);
        let gone = || BuildError::request("the cache mount was removed at once by somebody else");
        Ok(MountImport {
            mount: mount.ok_or_else(gone)?,
            diff_id,
            size,
        })
    }

    /// A tar is read twice, so what can be read only once is kept in between.
    fn seekable(&self, mut tar: File) -> Result<Tar, BuildError> {
        let failed = BuildError::input("read", Path::new("the tar"));
        if tar.metadata().map_err(&failed)?.is_file() {
            let start = tar.stream_position().map_err(failed)?;
            return Ok(Tar {
                file: tar,
                start,
                _scratch: None,
            });
        }
        let scratch = self.store.scratch()?;
        let path = scratch.path().join("mount.tar");
        let copied = File::create_new(&path).and_then(|mut file| {
            io::copy(&mut tar, &mut file)?;
            File::open(&path)
        });
        Ok(Tar {
            file: copied.map_err(failed)?,
            start: 0,
            _scratch: Some(scratch),
        })
    }
}

/// A file that holds a tar from one place on.
struct Tar {
    file: File,
    start: u64,
    _scratch: Option<ScratchDir>,
}

impl Tar {
    fn reader(&mut self) -> Result<impl Read + use<'_>, BuildError> {
        let at = self.file.seek(SeekFrom::Start(self.start));
        at.map_err(BuildError::input("read", Path::new("the tar")))?;
        Ok(BufReader::with_capacity(BUFFER, &self.file))
    }

    fn compression(&mut self) -> Result<Compression, BuildError> {
        let mut head = Vec::new();
        let read = self.reader()?.take(4).read_to_end(&mut head);
        read.map_err(BuildError::input("read", Path::new("the tar")))?;
        Ok(if head.starts_with(&ZSTD) {
            Compression::Zstd
        } else if head.starts_with(&GZIP) {
            Compression::Gzip
        } else {
            Compression::None
        })
    }
}

/// Gives the top of a directory the attributes that a step would have given it.
fn own_top(new: &NewCacheMount, name: &CacheMountName) -> Result<(), BuildError> {
    let path = new.path();
    let words: Vec<&str> = name.begins.split(' ').collect();
    let (mode, uid, gid) = match words[..] {
        ["empty", mode, uid, gid] => (mode.parse(), uid.parse(), gid.parse()),
        _ => (Ok(0o755), Ok(0), Ok(0)),
    };
    let (mode, uid, gid) = (mode.unwrap_or(0o755), uid.unwrap_or(0), gid.unwrap_or(0));
    let set = lchown(&path, Some(uid), Some(gid))
        .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777)));
    set.map_err(BuildError::input("set the owner and mode of", &path))
}

fn write_packed(
    packing: Packing,
    mut out: impl Write,
    pack: impl FnOnce(&mut dyn Write) -> Result<PackedMount, BuildError>,
) -> Result<PackedMount, BuildError> {
    let failed = BuildError::input("write", Path::new("the tar"));
    match packing {
        Packing::Plain => {
            let mut out = io::BufWriter::with_capacity(BUFFER, out);
            let packed = pack(&mut out)?;
            out.flush().map_err(failed)?;
            Ok(packed)
        }
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(&mut out, LEVEL).map_err(&failed)?;
            // A tar has no checksum of what is in its files.
            encoder.include_checksum(true).map_err(&failed)?;
            let packed = pack(&mut encoder)?;
            let ended = encoder.finish().and_then(Write::flush);
            ended.map_err(failed)?;
            Ok(packed)
        }
    }
}

fn in_use(id: Option<&str>) -> BuildError {
    let id = id.map_or_else(String::new, |id| format!(" {id:?}"));
    BuildError::request_with(
        format!("the cache mount{id} is in use by a running step; nothing was changed"),
        "try again when the step has ended",
    )
}

fn changed() -> BuildError {
    BuildError::request_with(
        "the cache mount was changed while it was read",
        "try again when no step uses it",
    )
}

/// A file that cannot be read as it was listed was changed by others.
fn changed_or(error: SnapshotError) -> BuildError {
    match &error {
        SnapshotError::Io { source, .. }
            if matches!(
                source.kind(),
                io::ErrorKind::Other | io::ErrorKind::NotFound
            ) =>
        {
            changed()
        }
        _ => error.into(),
    }
}
