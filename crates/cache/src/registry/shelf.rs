//! The tags of a cache, and reading what they lead to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use acetate_oci::{Descriptor, Digest};
use acetate_registry::{Name, Registries, RegistryError, Repository};
use futures_util::future::{join, try_join_all};
use futures_util::stream::{self, StreamExt};

use super::cache::RegistryPlace;
use super::fault::Unread;
use super::writer::Writer;
use crate::layout::catalog::Catalog;
use crate::layout::load::Absent;
use crate::layout::parcel;

/// A document of more bytes is refused.
const MAX_BLOB: u64 = 16 << 20;
/// Questions that are asked at once.
const PARALLEL: usize = 8;
/// More tags of writers than there can be are not looked at.
const MAX_READ: usize = 64;
/// What caches of `BuildKit` have in their manifests; such a tag may be written over, as there.
const BUILDKIT: &[u8] = b"application/vnd.buildkit.cacheconfig.";

/// The tag that users name, and those beside it.
#[derive(Debug)]
pub(super) struct Shelf {
    registries: Arc<Registries>,
    repository: Repository,
    name: Name,
    /// What was read already, by the digest of its manifest.
    read: Mutex<BTreeMap<Digest, Arc<Book>>>,
}

/// The records of one manifest.
#[derive(Debug)]
struct Book {
    catalog: Catalog,
    merged: Vec<Digest>,
}

/// What all tags of a cache lead to.
#[derive(Debug, Default)]
pub(super) struct View {
    /// All records.
    pub(super) catalog: Catalog,
    /// The tags of writers, and the manifests that they lead to.
    pub(super) writers: BTreeMap<String, Digest>,
    /// The manifests of writers all of whose records are in the catalog.
    pub(super) merged: Vec<Digest>,
    /// The manifests of writers that are of no use.
    pub(super) damaged: Vec<Digest>,
    /// What is wrong with the tag that users name, where others may have records yet.
    pub(super) fault: Option<Absent>,
    /// The manifest of the tag that users name.
    main: Option<Digest>,
}

impl View {
    /// True when there is no cache yet.
    pub(super) fn is_empty(&self) -> bool {
        self.main.is_none() && self.writers.is_empty() && self.fault.is_none()
    }
}

impl View {
    /// True for the manifest of a writer that nobody needs when this view was written.
    pub(super) fn is_spare(&self, manifest: &Digest) -> bool {
        self.merged.contains(manifest) || self.damaged.contains(manifest)
    }
}

impl Shelf {
    pub(super) fn new(place: &RegistryPlace) -> Self {
        Self {
            registries: Arc::clone(&place.registries),
            repository: Repository::from(&place.reference),
            name: Name::from(&place.reference),
            read: Mutex::default(),
        }
    }

    pub(super) fn registries(&self) -> &Registries {
        &self.registries
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What users call it.
    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// Reads all records: those of the tag, and what writers have that is not among them.
    ///
    /// The tag `own` is looked at also where the registry does not list it.
    pub(super) async fn view(&self, own: Option<&str>) -> Result<View, Unread> {
        let (main, mut writers) = join(self.book(&self.name), self.writers()).await;
        if let Some(own) = own.filter(|own| !writers.iter().any(|tag| tag == own)) {
            writers.push(own.to_owned());
        }
        let (main, fault) = match main {
            Ok(main) => (main, None),
            Err(Unread::Absent(fault @ Absent::Damaged(_))) => (None, Some(fault)),
            Err(error) => return Err(error),
        };
        let mut view = View {
            main: main.as_ref().map(|(digest, _)| *digest),
            fault,
            ..View::default()
        };
        let mut known: Vec<Digest> = view.main.into_iter().collect();
        if let Some((_, book)) = &main {
            add(&mut view.catalog, &book.catalog);
            known.extend(&book.merged);
        }
        let others = stream::iter(writers.into_iter().map(|tag| self.other(tag, &known)));
        let mut others: Vec<Other> = others.buffered(PARALLEL).collect().await;
        // Not the order of the answers, which differs.
        others.sort_by(|one, other| one.tag.cmp(&other.tag));
        for other in others {
            let Some(digest) = other.digest else {
                continue;
            };
            view.writers.insert(other.tag, digest);
            match &other.records {
                Records::Read(book) => add(&mut view.catalog, &book.catalog),
                Records::Known => {}
                Records::Damaged => {
                    view.damaged.push(digest);
                    continue;
                }
                Records::Unread => continue,
            }
            view.merged.push(digest);
        }
        view.merged.sort_unstable();
        view.merged.dedup();
        Ok(view)
    }

    /// The tags of writers; a registry that does not list tags has none.
    async fn writers(&self) -> Vec<String> {
        let Name::Tag(tag) = &self.name else {
            return Vec::new();
        };
        let mut tags = match self.registries.tags(&self.repository).await {
            Ok(tags) => tags,
            Err(error) => {
                tracing::debug!(%error, "the tags of a cache are not listed");
                return Vec::new();
            }
        };
        tags.retain(|found| Writer::is_tag(tag, found));
        tags.sort_unstable();
        tags.truncate(MAX_READ);
        tags
    }

    /// What one writer has, unless it is known; a fault leaves its records out, and its tag alone.
    async fn other(&self, tag: String, known: &[Digest]) -> Other {
        let name = Name::Tag(tag.clone());
        let found = self.registries.describe(&self.repository, &name).await;
        let digest = match found {
            Ok(found) => found.map(|found| found.digest),
            Err(error) => {
                tracing::debug!(%error, tag, "a tag of a cache is not read");
                None
            }
        };
        let records = match digest {
            None => Records::Unread,
            Some(digest) if known.contains(&digest) => Records::Known,
            Some(digest) => match self.book(&Name::Digest(digest)).await {
                Ok(Some((_, book))) => Records::Read(book),
                Ok(None) | Err(Unread::Absent(Absent::Damaged(_))) => Records::Damaged,
                Err(error) => {
                    tracing::debug!(%error, tag, "a tag of a cache is not read");
                    Records::Unread
                }
            },
        };
        Other {
            tag,
            digest,
            records,
        }
    }

    /// The records of one manifest; none when it is not there.
    async fn book(&self, name: &Name) -> Result<Option<(Digest, Arc<Book>)>, Unread> {
        let served = match self.registries.manifest(&self.repository, name).await {
            Ok(served) => served,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let known = self.known(&served.digest);
        if let Some(book) = known {
            return Ok(Some((served.digest, book)));
        }
        let what = format!("the manifest `{name}`");
        let found = match parcel::find(&served.bytes, &what) {
            Ok(found) => found,
            Err(Absent::Foreign(_)) if is_of_buildkit(&served.bytes) => return Ok(None),
            Err(absent) => return Err(absent.into()),
        };
        let config = self.blob(&found.config).await?;
        let parts = try_join_all(found.parts.iter().map(|part| self.blob(part))).await?;
        let merged = found.merged.clone();
        let opened = acetate_stdx::offload(move || found.open(config, parts)).await;
        let book = Arc::new(Book {
            catalog: opened?,
            merged,
        });
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(served.digest, Arc::clone(&book));
        Ok(Some((served.digest, book)))
    }

    fn known(&self, digest: &Digest) -> Option<Arc<Book>> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(digest).cloned()
    }

    async fn blob(&self, blob: &Descriptor) -> Result<Vec<u8>, Unread> {
        let registries = &self.registries;
        let read = registries
            .small_blob(&self.repository, blob, MAX_BLOB)
            .await;
        read.map_err(|error| match error {
            // The tag would lead to a cache again as soon as somebody writes one.
            RegistryError::NotFound { what } => {
                Unread::Absent(Absent::Damaged(format!("{what} is gone")))
            }
            error => Unread::Registry(error),
        })
    }
}

struct Other {
    tag: String,
    digest: Option<Digest>,
    records: Records,
}

/// What is known of the records of a writer.
enum Records {
    Read(Arc<Book>),
    /// They are among those of the tag that users name.
    Known,
    /// They are of no use.
    Damaged,
    /// Nothing: a fault, or somebody else's.
    Unread,
}

/// Adds records that are not there yet: all go on from the first result.
fn add(all: &mut Catalog, more: &Catalog) {
    let new: Vec<_> = more.keys().filter(|key| !all.holds(key)).copied().collect();
    all.adopt(more, new.iter());
}

fn is_of_buildkit(bytes: &[u8]) -> bool {
    bytes.windows(BUILDKIT.len()).any(|part| part == BUILDKIT)
}
