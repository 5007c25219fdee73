//! The end of a build: its records join those of the repository.

use std::collections::BTreeSet;
use std::sync::Arc;

use acetate_oci::Digest;
use acetate_registry::{
    MemorySource, Name, NoProgress, Progress, PushBlob, PushManifest, RegistryError,
};
use futures_util::stream::{self, StreamExt};

use super::cache::{Inner, Owner, RegistryCache, RegistryOptions, State};
use super::fault::{Unread, words};
use super::shelf::View;
use super::writer::{MAX_WRITERS, Writer};
use crate::layout::catalog::Catalog;
use crate::layout::ledger::{Ledger, Others};
use crate::layout::listing::named;
use crate::layout::parcel::{self, Parcel, Split, TooMany};
use crate::remote::Cause;

/// How often writing begins anew when somebody else wrote in between.
const N_ATTEMPTS: usize = 4;
/// Questions that are asked at once.
const PARALLEL: usize = 8;

/// Why records were not written.
enum Unwritten {
    Registry(RegistryError),
    Other(Cause, String),
}

impl From<RegistryError> for Unwritten {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// How an attempt ended.
enum Attempt {
    Done,
    /// Somebody used the same tag at the same time.
    Crossed,
}

impl RegistryCache {
    /// Writes the records of this build beside those that are there by then.
    pub(super) async fn write_records(&self) {
        let Some(options) = &self.0.options else {
            return;
        };
        let written = tokio::time::timeout(options.patience, self.0.write(options)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(Unwritten::Registry(error))) => {
                let reason = format!("failed to {}", words(&error));
                self.0.stop(super::fault::cause(&error), &reason);
            }
            Ok(Err(Unwritten::Other(cause, reason))) => drop(self.0.stop(cause, &reason)),
            Err(_) => {
                let secs = options.patience.as_secs();
                let reason = format!("writing them took longer than {secs} s");
                self.0.stop(Cause::Unreachable, &reason);
            }
        }
    }
}

impl Inner {
    async fn write(&self, options: &RegistryOptions) -> Result<(), Unwritten> {
        let ledger = {
            let mut state = self.state();
            let stopped = state.stopped;
            let next = State {
                stopped,
                ..State::default()
            };
            std::mem::replace(&mut *state, next).ledger
        };
        if !ledger.has_news {
            // All that was published is there already.
            return Ok(());
        }
        let Name::Tag(tag) = self.shelf.name() else {
            let reason = "a digest cannot be written; name a tag".to_owned();
            return Err(Unwritten::Other(Cause::Failing, reason));
        };
        // Builds on this state directory share a writer's tag.
        let place = Digest::of(self.shown().as_bytes());
        let name = format!("registry-cache-{}", place.hex());
        let lock = self.store.lock(&name).await.map_err(|error| {
            let reason = format!("the state directory cannot be locked: {error}");
            Unwritten::Other(Cause::Failing, reason)
        })?;
        for _ in 0..N_ATTEMPTS {
            match self.attempt(&ledger, tag, options).await? {
                Attempt::Done => {
                    drop(lock);
                    return Ok(());
                }
                Attempt::Crossed => tracing::debug!(tag, "another build wrote the same tag"),
            }
        }
        let reason = "other builds write there all the time".to_owned();
        Err(Unwritten::Other(Cause::Busy, reason))
    }

    /// Reads, merges and writes once.
    async fn attempt(
        &self,
        ledger: &Ledger,
        tag: &str,
        options: &RegistryOptions,
    ) -> Result<Attempt, Unwritten> {
        let view = self.current(tag).await?;
        let mut records = ledger.merged_with(&view.catalog, Others::Stay);
        let mut manifest = self.send_records(&records, &view, options).await?;
        let Some(own) = self.free_tag(tag, &view).await? else {
            return Ok(Attempt::Crossed);
        };
        if let Err(error) = self.put(&own, &manifest).await {
            if !is_about_blobs(&error) {
                return Err(error.into());
            }
            manifest = self.send_whole(&mut records, &view, options).await?;
            self.put(&own, &manifest).await?;
        }
        self.put(tag, &manifest).await?;
        // Whoever came between has read what was there before.
        let now = self.digest(&own).await?;
        if now == Some(manifest.digest()) {
            Ok(Attempt::Done)
        } else {
            Ok(Attempt::Crossed)
        }
    }

    /// What is there now.
    async fn current(&self, tag: &str) -> Result<View, Unwritten> {
        let own = Writer::of(&self.store).tag(tag);
        match self.shelf.view(Some(&own)).await {
            Ok(view) => Ok(view),
            Err(Unread::Registry(error)) => Err(error.into()),
            Err(unread) => {
                let reason = match unread.owner() {
                    Owner::Newer => "a newer acetate has written its records; use another tag",
                    Owner::Image => "there is an image by now; name another tag",
                    Owner::Us => "they cannot be read",
                };
                Err(Unwritten::Other(unread.cause(), reason.to_owned()))
            }
        }
    }

    /// Drops records of which the repository lacks a layer, and listings that it lacks, and sends the
    /// rest.
    async fn send_whole(
        &self,
        records: &mut Catalog,
        view: &View,
        options: &RegistryOptions,
    ) -> Result<PushManifest, Unwritten> {
        let layers = records.blobs().values().cloned();
        let blobs: Vec<_> = layers.chain(records.listed().map(named)).collect();
        let asked = stream::iter(blobs.into_iter().map(|blob| async move {
            let has = self.has(&blob).await?;
            Ok::<_, RegistryError>((blob.digest, has))
        }));
        let answers: Vec<_> = asked.buffer_unordered(PARALLEL).collect().await;
        let mut there = BTreeSet::new();
        for answer in answers {
            let (digest, has) = answer?;
            if has {
                there.insert(digest);
            }
        }
        let n_lost = records.drop_lost(|blob| there.contains(&blob.digest));
        tracing::debug!(
            n_lost,
            "records of a registry whose blobs are gone are dropped"
        );
        self.send_records(records, view, options).await
    }

    /// Sends the blobs that hold the records, and gives the manifest that names them.
    async fn send_records(
        &self,
        records: &Catalog,
        view: &View,
        options: &RegistryOptions,
    ) -> Result<PushManifest, Unwritten> {
        let packed = parcel::pack(records, options.form, Split::Large, &view.merged);
        let parcel = packed.map_err(|TooMany| {
            let reason = "there are too many; use another tag".to_owned();
            Unwritten::Other(Cause::Full, reason)
        })?;
        let Parcel {
            config,
            parts,
            root,
            root_type,
        } = parcel;
        let silent: Arc<dyn Progress> = Arc::new(NoProgress);
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        for (descriptor, bytes) in parts.into_iter().chain([config]) {
            let blob = PushBlob {
                descriptor,
                source: Arc::new(MemorySource(bytes.into())),
                mount_from: Vec::new(),
            };
            registries.push_blob(repository, &blob, &silent).await?;
        }
        Ok(PushManifest {
            media_type: root_type,
            bytes: root,
        })
    }

    /// The tag that this build may write: its own, or where there are many that of a writer whose
    /// records are all merged; none when somebody is quicker everywhere.
    async fn free_tag(&self, tag: &str, view: &View) -> Result<Option<String>, Unwritten> {
        let writer = Writer::of(&self.store);
        let own = writer.tag(tag);
        let is_free = match view.writers.get(&own) {
            // One that could not be read is left alone.
            Some(digest) => view.is_spare(digest),
            None => view.writers.len() < MAX_WRITERS,
        };
        if is_free {
            return Ok(Some(own));
        }
        let mut spare: Vec<(&String, &Digest)> = view.writers.iter().collect();
        spare.retain(|(_, digest)| view.is_spare(digest));
        if !spare.is_empty() {
            let n_spare = spare.len();
            spare.rotate_left(writer.number() % n_spare);
        }
        for (tag, digest) in spare {
            // Right before it is written: nothing else keeps two from taking the same.
            if self.digest(tag).await? == Some(*digest) {
                return Ok(Some(tag.clone()));
            }
        }
        Ok(None)
    }

    async fn digest(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        let name = Name::Tag(tag.to_owned());
        let found = registries.describe(repository, &name).await?;
        Ok(found.map(|found| found.digest))
    }

    async fn put(&self, tag: &str, manifest: &PushManifest) -> Result<(), RegistryError> {
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        let name = Name::Tag(tag.to_owned());
        let put = registries.put_manifest(repository, &name, manifest).await;
        put.map(drop)
    }
}

/// True when a registry may have refused a manifest because it names blobs that are not there.
fn is_about_blobs(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Refused {
            status: 400 | 404,
            ..
        } | RegistryError::NotFound { .. }
    )
}
