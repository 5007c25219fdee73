//! Named images: one file a name, which outlives the index and keeps its layers from being pruned.

use crate::BuildError;
use crate::images::{Assembled, FinishError};
use acetate_oci::{Descriptor, Digest, ImageConfig, Platform, Reference, canonical_json};
use acetate_snapshot::Snapshot;
use acetate_store::{Expect, LayerId, Object, Store};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// A name and the images that it leads to, one a platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    /// The name in full.
    pub(crate) name: String,
    /// The images.
    pub(crate) images: Vec<NamedImage>,
    /// The manifest or index of an image that came from elsewhere and is kept as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<Descriptor>,
    /// What the name led to in its registry, of which the root may be one platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    /// All documents and blobs below the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<Descriptor>,
}

/// One image of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NamedImage {
    pub(crate) platform: Platform,
    /// The manifest, which is a blob of the store.
    pub(crate) manifest: Descriptor,
    /// The config, which is a blob of the store.
    pub(crate) config: Descriptor,
    /// The layers in the store, bottom first.
    pub(crate) layers: Vec<LayerId>,
}

/// Writes a file for every name; the documents of the images become blobs first.
pub(crate) fn write(
    store: &Store,
    names: &[Reference],
    assembled: &[Assembled],
) -> Result<(), FinishError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut images = Vec::with_capacity(assembled.len());
    for Assembled { image, files, .. } in assembled {
        for bytes in [&image.config_bytes, &image.manifest_bytes] {
            store
                .blobs()
                .ingest(&bytes[..], Expect::digest(Digest::of(bytes)))?;
        }
        images.push(NamedImage {
            platform: image.platform(),
            manifest: image.descriptor.clone(),
            config: image.manifest.config.clone(),
            layers: ids(&files.snapshot),
        });
    }
    let named = Named {
        name: String::new(),
        images,
        root: None,
        digest: None,
        kept: Vec::new(),
    };
    Ok(keep(store, names, named)?)
}

/// Writes a file for every name; what it leads to is in the store.
pub(crate) fn keep(store: &Store, names: &[Reference], mut named: Named) -> Result<(), BuildError> {
    let dir = dir(store);
    std::fs::create_dir_all(&dir).map_err(|source| BuildError::Input {
        action: "create",
        path: dir.clone(),
        source,
    })?;
    let scratch = store.scratch()?;
    for name in names {
        named.name = name.to_string();
        let path = path(store, &named.name);
        let written = appear(&path, &canonical_json(&named), scratch.path());
        written.map_err(|source| BuildError::Input {
            action: "write",
            path,
            source,
        })?;
    }
    Ok(())
}

/// All names in order.
pub(crate) fn all(store: &Store) -> Result<Vec<Named>, BuildError> {
    let mut found = Vec::new();
    for path in files(store)? {
        found.extend(read(&path)?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Forgets a name; tells whether it was there.
pub(crate) fn remove(store: &Store, name: &str) -> Result<bool, BuildError> {
    let path = path(store, name);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(BuildError::Input {
            action: "remove",
            path,
            source,
        }),
    }
}

/// Writes a file whole. It is made where a killed process leaves nothing that stays.
fn appear(path: &Path, bytes: &[u8], scratch: &Path) -> io::Result<()> {
    let made = scratch.join("name.json");
    let mut file = std::fs::File::create_new(&made)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&made, path)?;
    match path.parent() {
        Some(dir) => std::fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn ids(snapshot: &Snapshot) -> Vec<LayerId> {
    snapshot
        .layers()
        .iter()
        .map(acetate_snapshot::Layer::id)
        .collect()
}

/// The images behind a name, if it was given to any.
pub(crate) fn find(store: &Store, name: &Reference) -> Result<Option<Named>, BuildError> {
    read(&path(store, &name.to_string()))
}

/// The config of a named image.
pub(crate) fn config(store: &Store, image: &NamedImage) -> Result<ImageConfig, BuildError> {
    let gone = || BuildError::request(format!("the config `{}` is gone", image.config.digest));
    let mut reader = store.blobs().open(&image.config.digest)?.ok_or_else(gone)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut reader, &mut bytes).map_err(|_| gone())?;
    serde_json::from_slice(&bytes).map_err(|_| gone())
}

/// Everything that named images need.
pub(crate) fn objects(store: &Store) -> Result<Vec<Object>, BuildError> {
    let mut objects = Vec::new();
    for path in files(store)? {
        if let Some(named) = read(&path)? {
            objects.extend(objects_of(store, &named)?);
        }
    }
    Ok(objects)
}

/// Everything that one name needs.
pub(crate) fn objects_of(store: &Store, named: &Named) -> Result<Vec<Object>, BuildError> {
    let kept = named.root.iter().chain(&named.kept);
    let mut objects: Vec<Object> = kept.map(|blob| Object::Blob(blob.digest)).collect();
    for image in &named.images {
        objects.extend([image.manifest.digest, image.config.digest].map(Object::Blob));
        objects.extend(image.layers.iter().copied().map(Object::Layer));
        let rows = store.index().layers(&image.layers)?;
        let blobs = rows.into_iter().flatten().filter_map(|row| row.blob);
        objects.extend(blobs.map(|blob| Object::Blob(blob.digest)));
    }
    Ok(objects)
}

/// Forgets all names.
pub(crate) fn remove_all(store: &Store) -> Result<(), BuildError> {
    for path in files(store)? {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(BuildError::Input {
                    action: "remove",
                    path,
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn files(store: &Store) -> Result<Vec<PathBuf>, BuildError> {
    let dir = dir(store);
    let input = |source| BuildError::Input {
        action: "list",
        path: dir.clone(),
        source,
    };
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(input(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(input)?.path();
        // Half-written files of a killed process have another ending.
        if path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Option<Named>, BuildError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(BuildError::Input {
                action: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    match serde_json::from_slice(&bytes) {
        Ok(named) => Ok(Some(named)),
        // A file that a crash of the machine left empty is an image that was not kept.
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "a named image cannot be read");
            Ok(None)
        }
    }
}

fn dir(store: &Store) -> PathBuf {
    store.root().join("names")
}

/// The hash of the name: names hold slashes and may be longer than a file name.
fn path(store: &Store, name: &str) -> PathBuf {
    dir(store).join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
}
