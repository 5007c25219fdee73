//! Takes images out of archives and layouts.

use super::keep::Whole;
use crate::{BuildError, Engine, EventSink};
use acetate_image::{ArchivedImage, ImageSource, LayoutSource, WholeImage, read_docker_archive};
use acetate_oci::{Compression, Descriptor, Digest, Reference};
use acetate_registry::Progress;
use acetate_store::{ScratchDir, Store, StoreError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of an archive that are unpacked at a time.
const PIECE: usize = 256 << 10;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// Its name.
    pub name: Reference,
    /// What it leads to.
    pub digest: Digest,
}

/// An archive that can be read at any place.
struct Seekable {
    path: PathBuf,
    _scratch: Option<ScratchDir>,
}

impl Engine {
    /// Loads all images of an OCI layout, an archive of one, or a docker archive, and checks every
    /// digest in it. `name` is for an image that has none.
    ///
    /// # Errors
    /// What is missing or not what it claims to be; what was named before that stays.
    pub async fn load_images(
        &self,
        path: &Path,
        name: Option<&Reference>,
        sink: &Arc<dyn EventSink>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        let step = self.step(sink, &format!("loading `{}`", path.display()));
        let loaded = self.load(path, name, &step.transfer("reading")).await;
        step.end(&loaded);
        loaded
    }

    async fn load(
        &self,
        path: &Path,
        name: Option<&Reference>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        let archive = self.seekable(path.to_owned()).await?;
        if archive.path.is_dir() {
            return self.load_layout(&archive.path, name, progress).await;
        }
        match self.puller.layout_names(&archive.path).await {
            Ok(_) => self.load_layout(&archive.path, name, progress).await,
            Err(not_a_layout) => {
                let images = self.docker_images(archive.path.clone(), progress).await?;
                let images = images.ok_or(not_a_layout)?;
                self.load_docker(images, name)
            }
        }
    }

    pub(super) async fn docker_images(
        &self,
        path: PathBuf,
        progress: &Arc<dyn Progress>,
    ) -> Result<Option<Vec<ArchivedImage>>, BuildError> {
        let (store, progress) = (Arc::clone(&self.store), Arc::clone(progress));
        let read = move || read_docker_archive(&path, &store, &*progress);
        Ok(acetate_stdx::blocking(read).await?)
    }

    async fn load_layout(
        &self,
        path: &Path,
        name: Option<&Reference>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        let entries = self.puller.layout_names(path).await?;
        let is_alone = entries.len() == 1;
        let mut loaded = Vec::new();
        for (own, entry) in entries {
            let Some(name) = chosen(own, name.filter(|_| is_alone), &entry)? else {
                continue;
            };
            let source = ImageSource::Layout(LayoutSource {
                path: path.to_owned(),
                tag: None,
                digest: Some(entry.digest),
            });
            let (whole, origin) = self.puller.whole(&source).await?;
            self.puller.fetch_whole(&whole, &origin, progress).await?;
            let Whole { images, layers } = self.images_in(&whole)?;
            self.check_layers(layers).await?;
            self.keep_whole(std::slice::from_ref(&name), &whole, images, None)?;
            loaded.push(LoadedImage {
                name,
                digest: whole.root.digest,
            });
        }
        if loaded.is_empty() {
            return Err(BuildError::request(format!(
                "`{}` holds no image",
                path.display()
            )));
        }
        Ok(loaded)
    }

    fn load_docker(
        &self,
        images: Vec<ArchivedImage>,
        name: Option<&Reference>,
    ) -> Result<Vec<LoadedImage>, BuildError> {
        let is_alone = images.len() == 1;
        let mut loaded = Vec::new();
        for ArchivedImage { names, image } in images {
            let whole = self.whole_of_archived(&image)?;
            let mut given = Vec::new();
            for own in names {
                given.extend(chosen(Some(own), None, &whole.root)?);
            }
            if given.is_empty() || (is_alone && name.is_some()) {
                given = chosen(None, name, &whole.root)?.into_iter().collect();
            }
            let found = self.images_in(&whole)?;
            self.keep_whole(&given, &whole, found.images, None)?;
            let digest = whole.root.digest;
            loaded.extend(given.into_iter().map(|name| LoadedImage { name, digest }));
        }
        Ok(loaded)
    }

    pub(super) fn whole_of_archived(
        &self,
        image: &acetate_image::Image,
    ) -> Result<WholeImage, BuildError> {
        self.store.blobs().put(&image.manifest_bytes)?;
        let config = [image.manifest.config.clone()].into_iter();
        let blobs = config.chain(image.manifest.layers.iter().cloned());
        Ok(WholeImage {
            root: image.descriptor.clone(),
            documents: vec![(image.descriptor.clone(), image.manifest_bytes.clone())],
            blobs: blobs.map(|blob| (blob.digest, blob)).collect(),
        })
    }

    /// Makes a file of what is none, and a plain one of one that is compressed.
    async fn seekable(&self, path: PathBuf) -> Result<Seekable, BuildError> {
        let store = Arc::clone(&self.store);
        let make = move || {
            let made = seekable(&store, &path);
            made.map_err(|error| match error {
                Unreadable::Input(source) => BuildError::Input {
                    action: "read",
                    path,
                    source,
                },
                Unreadable::Store(error) => error.into(),
            })
        };
        acetate_stdx::blocking(make).await
    }
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Input(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn seekable(store: &Store, path: &Path) -> Result<Seekable, Unreadable> {
    let as_it_is = || Seekable {
        path: path.to_owned(),
        _scratch: None,
    };
    let is_stdin = path.as_os_str() == "-";
    if !is_stdin && path.is_dir() {
        return Ok(as_it_is());
    }
    let mut reader: Box<dyn Read + Send> = if is_stdin {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut head = Vec::new();
    (&mut reader).take(4).read_to_end(&mut head)?;
    let compression = Compression::of_bytes(&head);
    let is_file = !is_stdin && std::fs::metadata(path).is_ok_and(|it| it.is_file());
    if compression == Compression::None && is_file {
        return Ok(as_it_is());
    }
    let whole = io::Cursor::new(head).chain(reader);
    let mut plain = acetate_image::unpacked(whole, compression)?;
    let scratch = store.scratch()?;
    let copy = scratch.path().join("archive.tar");
    copy_to(&mut plain, &copy)?;
    Ok(Seekable {
        path: copy,
        _scratch: Some(scratch),
    })
}

/// Writes what is read into a new file of the state directory.
fn copy_to(reader: &mut dyn Read, path: &Path) -> Result<(), Unreadable> {
    let failed = |error| StoreError::io("write", path, error);
    let mut file = File::create_new(path).map_err(failed)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        // Told apart from what is wrong with the archive: the disk may be full.
        file.write_all(&buffer[..n]).map_err(failed)?;
    }
}

/// The name that an image gets: the one that was asked for, else its own.
fn chosen(
    own: Option<String>,
    wanted: Option<&Reference>,
    root: &Descriptor,
) -> Result<Option<Reference>, BuildError> {
    if let Some(name) = wanted {
        return Ok(Some(name.clone()));
    }
    let Some(own) = own else {
        return Err(BuildError::request_with(
            format!("the image `{}` of the archive has no name", root.digest),
            "give it one with -t NAME",
        ));
    };
    let parsed = own.parse::<Reference>();
    parsed.map(Some).map_err(|error| {
        BuildError::request(format!("the archive gives a name that is none: {error}"))
    })
}
