//! The end of a build: its records join those of the layout.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, Index, MediaType, canonical_json};
use serde_json::Value;

use super::cache::{Inner, LayoutCache, LayoutOptions, Reset, State};
use super::catalog::Catalog;
use super::document::{Document, MAX_DOCUMENT};
use super::ledger::Others;
use super::load::{Absent, MAX_MANIFEST, REF_NAME, load};
use super::parcel::{self, CONFIG_TYPE, Form, Parcel, Split, TooMany};
use crate::remote::Cause;

/// Why records were not written.
enum Unwritten {
    Io(io::Error),
    Other(Cause, &'static str),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl LayoutCache {
    /// Writes the records of this build beside those that are there by then.
    pub(super) async fn write_records(&self) {
        let Some(options) = self.0.options else {
            return;
        };
        let inner = Arc::clone(&self.0);
        acetate_stdx::blocking(move || match inner.try_close(options) {
            Ok(()) => {}
            Err(Unwritten::Io(error)) => drop(inner.stop(&error)),
            Err(Unwritten::Other(cause, reason)) => inner.notes.warn(cause, || {
                let dir = inner.dir.path().display();
                format!("results are not kept in the cache in `{dir}`: {reason}")
            }),
        })
        .await;
    }
}

impl Inner {
    fn try_close(&self, options: LayoutOptions) -> Result<(), Unwritten> {
        let State { ledger, blobs, .. } = {
            let mut state = self.state();
            let stopped = state.stopped;
            let next = State {
                stopped,
                ..State::default()
            };
            std::mem::replace(&mut *state, next)
        };
        if ledger.ours.len() == 0 || (options.reset == Reset::Keep && !ledger.has_news) {
            // All that was published is there already.
            return Ok(());
        }
        let lock = self.dir.lock_index()?;
        let current = match load(&self.dir, &self.place.tag, None) {
            Ok(catalog) => catalog,
            Err(Absent::Newer(_)) => {
                let reason = "a newer acetate has written its records; use another tag";
                return Err(Unwritten::Other(Cause::Damaged, reason));
            }
            Err(Absent::Io(error)) => return Err(error.into()),
            // It was warned of where it is worth that, and is made anew.
            Err(_) => Catalog::default(),
        };
        let others = match options.reset {
            Reset::Keep => Others::Stay,
            Reset::Drop => Others::Go,
        };
        let mut merged = ledger.merged_with(&current, others);
        let n_lost = merged.drop_lost(|blob| self.dir.has(blob));
        if n_lost > 0 {
            tracing::debug!(
                n_lost,
                "records of a layout whose blobs are gone are dropped"
            );
        }
        let written = self.put_tag(&merged)?;
        // From here on the index names what this build wrote.
        drop(blobs);
        let mut removed = self.dir.clean_up();
        if removed.is_ok() && options.reset == Reset::Drop {
            removed = self.remove_unnamed(&written);
        }
        if let Err(error) = removed {
            // All that is to be kept is kept; the next build tries again.
            tracing::debug!(%error, "what nobody needs in a layout is not removed");
        }
        drop(lock);
        Ok(())
    }

    /// Writes config and manifest, and lets the tag name them; gives the index.
    fn put_tag(&self, records: &Catalog) -> Result<Index, Unwritten> {
        let too_large = "there are too many; use `reset=true`, or another directory";
        let too_large = || Unwritten::Other(Cause::Full, too_large);
        let parcel = parcel::pack(records, Form::Manifest, Split::Never, &[]);
        let Parcel { config, root, .. } = parcel.map_err(|TooMany| too_large())?;
        let (config, manifest) = (config.1, root);
        let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, &manifest);
        let tag = self.place.tag.clone();
        entry.annotations.insert(REF_NAME.to_owned(), tag);
        let bytes = self.dir.index(MAX_MANIFEST).or_else(|error| {
            let is_garbage = error.kind() == io::ErrorKind::InvalidData;
            if is_garbage { Ok(None) } else { Err(error) }
        })?;
        let index = with_entry(bytes.as_deref(), &entry);
        if index.len() as u64 > MAX_MANIFEST {
            return Err(too_large());
        }
        for bytes in [&config, &manifest] {
            let digest = Digest::of(bytes);
            self.dir.put_blob(&digest, |file| file.write_all(bytes))?;
        }
        if bytes.as_ref() != Some(&index) {
            self.dir.put_index(&index)?;
        }
        serde_json::from_slice(&index).map_err(|error| Unwritten::Io(error.into()))
    }

    /// Removes blobs that nothing in the index leads to, unless another build is writing.
    fn remove_unnamed(&self, index: &Index) -> io::Result<()> {
        let Some(_lock) = self.dir.lock_for_removal()? else {
            tracing::debug!("another build writes to the layout: nothing is removed");
            return Ok(());
        };
        let mut named = BTreeSet::new();
        let mut open: Vec<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
        while let Some(digest) = open.pop() {
            if !named.insert(digest) {
                continue;
            }
            let Some(bytes) = self.dir.small_blob(&digest, MAX_MANIFEST)? else {
                continue;
            };
            let Ok(document) = serde_json::from_slice::<Value>(&bytes) else {
                tracing::debug!(%digest, "a manifest cannot be understood: nothing is removed");
                return Ok(());
            };
            let (leaves, deeper) = descriptors(&document);
            named.extend(leaves);
            named.extend(self.listings_of(&document)?);
            open.extend(deeper);
        }
        self.dir.sweep(|digest| named.contains(digest))
    }
}

impl Inner {
    /// The blobs of listings that the config of a manifest of ours names.
    fn listings_of(&self, manifest: &Value) -> io::Result<Vec<Digest>> {
        let config = &manifest["config"];
        if config["mediaType"].as_str() != Some(CONFIG_TYPE) {
            return Ok(Vec::new());
        }
        let digest = config["digest"].as_str().and_then(|it| it.parse().ok());
        let Some(digest) = digest else {
            return Ok(Vec::new());
        };
        let bytes = self.dir.small_blob(&digest, MAX_DOCUMENT)?;
        let document = bytes.and_then(|bytes| serde_json::from_slice::<Document>(&bytes).ok());
        let pieces = document.iter().flat_map(Document::listings);
        Ok(pieces.map(|piece| piece.stored).collect())
    }
}

/// The index with the tag's entry; all else in it stays, whatever it is.
fn with_entry(index: Option<&[u8]>, entry: &Descriptor) -> Vec<u8> {
    let tag = entry.annotations.get(REF_NAME).map(String::as_str);
    let has_tag = |other: &Value| other["annotations"][REF_NAME].as_str() == tag;
    let found = index.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let is_index = |value: &Value| serde_json::from_value::<Index>(value.clone()).is_ok();
    let mut value = found.filter(is_index).unwrap_or_else(|| {
        serde_json::to_value(Index::oci(Vec::new())).expect("an index serialises to JSON")
    });
    if let Some(entries) = value["manifests"].as_array_mut() {
        entries.retain(|other| !has_tag(other));
        entries.push(serde_json::to_value(entry).expect("a descriptor serialises to JSON"));
    }
    canonical_json(&value)
}

/// What a manifest or an index names: blobs, and documents that name more.
fn descriptors(document: &Value) -> (Vec<Digest>, Vec<Digest>) {
    let digest = |value: &Value| value["digest"].as_str()?.parse().ok();
    let list = |name: &str| {
        let list = document[name].as_array().into_iter().flatten();
        list.filter_map(digest).collect::<Vec<Digest>>()
    };
    let mut leaves = list("layers");
    leaves.extend(list("blobs"));
    leaves.extend(digest(&document["config"]));
    leaves.extend(digest(&document["subject"]));
    let mut deeper = Vec::new();
    for entry in document["manifests"].as_array().into_iter().flatten() {
        let kind = entry["mediaType"].as_str().unwrap_or_default();
        let kind = MediaType::new(kind);
        // Caches of BuildKit are indexes of layers.
        let is_document = kind.is_manifest() || kind.is_index();
        let list = if is_document {
            &mut deeper
        } else {
            &mut leaves
        };
        list.extend(digest(entry));
    }
    (leaves, deeper)
}
