//! Caches outside of the store: opened, asked, and given what the build makes.

mod candidate;
mod content;
mod finish;
mod forms;
mod forms_out;
mod inline;
mod keys;
pub(crate) mod lease;
pub(crate) mod load;
mod mount_fact;
mod mounts;
mod mounts_in;
mod open;
mod publisher;
mod source;
pub(crate) mod stories;
mod wanted;

pub(crate) use candidate::{Candidate, SharedHit};
pub(crate) use content::content_key;
pub(crate) use finish::{Ending, finish, offer_unneeded};
pub(crate) use forms::{Forms, Tars, UsedForm};
pub(crate) use mount_fact::MOUNT_FACT;
pub(crate) use mounts::UsedMounts;
pub(crate) use mounts_in::MountsIn;
pub(crate) use open::open;
pub(crate) use publisher::{Made, Publisher, Reach};
pub(crate) use source::{SourceError, layer_source, listing_source};
pub(crate) use wanted::is_recorded;

use crate::{CacheExport, CacheImport};
use acetate_cache::remote::RemoteCache;
use acetate_cache::{CacheKey, CacheRecord, Origin, SharedCache};
use acetate_image::ResolvedImage;
use futures_util::future::join_all;
use inline::InlineExport;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The caches of one build.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedCaches {
    /// What results are taken from, in the order of the flags.
    pub(crate) imports: Vec<Import>,
    /// What results are given to.
    pub(crate) exports: Vec<Export>,
    /// Images whose config holds records that results are taken from.
    pub(crate) images: Vec<Arc<ResolvedImage>>,
    /// What the config of the image that is made is to hold.
    pub(crate) inline: Option<Arc<InlineExport>>,
    /// The ids of the keys whose results alone are taken; none takes all.
    pub(crate) required: Option<BTreeSet<String>>,
}

/// A cache that was opened. A place that is imported and exported with the same keys is
/// opened once.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) cache: Arc<dyn SharedCache>,
    /// The same, where it is a server that may have leases.
    pub(crate) server: Option<RemoteCache>,
}

/// A cache that results are taken from.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub(crate) opened: Opened,
    pub(crate) spec: CacheImport,
}

/// A cache that results are given to.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    pub(crate) opened: Opened,
    pub(crate) spec: CacheExport,
}

impl SharedCaches {
    /// All caches, each once.
    pub(crate) fn all(&self) -> Vec<Arc<dyn SharedCache>> {
        let imports = self.imports.iter().map(|import| &import.opened.cache);
        let exports = self.exports.iter().map(|export| &export.opened.cache);
        let mut all: Vec<Arc<dyn SharedCache>> = Vec::new();
        for cache in imports.chain(exports) {
            if !all.iter().any(|known| Arc::ptr_eq(known, cache)) {
                all.push(Arc::clone(cache));
            }
        }
        all
    }

    /// True when some cache is given results that is not taken from.
    pub(crate) fn gives_to_others(&self) -> bool {
        let is_import = |cache: &Arc<dyn SharedCache>| {
            let mut imports = self.imports.iter();
            imports.any(|import| Arc::ptr_eq(&import.opened.cache, cache))
        };
        let mut exports = self.exports.iter();
        exports.any(|export| !is_import(&export.opened.cache))
    }

    /// Whether a record of the store may be used: one that was made here, or that came from elsewhere
    /// and fulfils what the flags want of such records.
    pub(crate) fn admits(&self, record: &CacheRecord) -> bool {
        match (&self.required, &record.origin) {
            (None, _) | (_, Origin::Local) => true,
            (Some(ids), Origin::Imported { signer, .. }) => {
                signer.as_ref().is_some_and(|signer| ids.contains(signer))
            }
        }
    }

    /// True when results are taken from a server, which shows why steps missed.
    pub(crate) fn has_server(&self) -> bool {
        self.imports
            .iter()
            .any(|import| import.opened.server.is_some())
    }

    /// Asks all imports for all keys, one question to each; per key the hits in their order.
    pub(crate) async fn lookup(&self, keys: &[CacheKey]) -> Vec<Vec<SharedHit>> {
        let mut found: Vec<Vec<SharedHit>> = keys.iter().map(|_| Vec::new()).collect();
        if keys.is_empty() {
            return found;
        }
        let questions = self.imports.iter().map(|import| &import.opened.cache);
        let answers = join_all(questions.clone().map(|cache| cache.lookup(keys))).await;
        for (cache, answers) in questions.zip(answers) {
            for ((list, key), hit) in found.iter_mut().zip(keys).zip(answers) {
                list.extend(hit.map(|hit| SharedHit {
                    cache: Arc::clone(cache),
                    kind: key.kind(),
                    hit,
                }));
            }
        }
        found
    }
}
