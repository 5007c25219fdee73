//! What a server that keeps a shared cache is asked by name.

use super::export::no_build;
use super::find::{bare, one};
use crate::engine::Engine;
use crate::{BuildError, BuildRequest, CacheImport, CachePlace};
use acetate_cache::CacheKey;
use acetate_cache::remote::told::{Entry, Removed, ServerStats, Verified};
use acetate_cache::remote::{AdminError, Flaw, Namespace, RemoteCache, Seen, action_key};
use acetate_graph::{ContentKey, DefinitionKey, OpKey};
use acetate_oci::Digest;

/// How many records are listed in one answer.
const PAGE: usize = 1000;

/// A cache that a server keeps, to be asked by people: here a fault is an error.
#[derive(Debug)]
pub struct CacheServer<'a> {
    pub(super) engine: &'a Engine,
    pub(super) spec: CacheImport,
    pub(super) remote: RemoteCache,
}

/// A record as a server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecord {
    /// Its namespace.
    pub namespace: String,
    /// The key that the server has for it.
    pub key: Digest,
    /// Its own bytes, without those of its layers.
    pub size: u64,
    /// The seconds since it was used last.
    pub age_secs: u64,
    /// The milliseconds that a hit saves, as far as known.
    pub saved_ms: u64,
}

impl Engine {
    /// Opens a cache to ask it; nothing is asked yet.
    ///
    /// # Errors
    /// When the place is no server and no bucket.
    pub async fn cache_server(&self, spec: &CacheImport) -> Result<CacheServer<'_>, BuildError> {
        let request = BuildRequest {
            cache_from: vec![spec.clone()],
            ..no_build()
        };
        let caches = crate::shared::open(self, &request).await?;
        let opened = caches.imports.first().map(|import| &import.opened);
        let remote = opened.and_then(|opened| opened.server.clone());
        let remote = remote.ok_or_else(|| {
            BuildError::request_with(
                "a directory, a registry or an image cannot be asked: only servers and buckets can",
                "name a server, https://HOST/NAMESPACE",
            )
        })?;
        Ok(CacheServer {
            engine: self,
            spec: spec.clone(),
            remote,
        })
    }
}

impl CacheServer<'_> {
    /// Where it is, without credentials.
    pub fn name(&self) -> String {
        self.remote.name()
    }

    /// All records of the namespace and below it, by namespace and key.
    pub async fn list(&self) -> Result<Vec<ListedRecord>, BuildError> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.remote.records(PAGE, after.as_deref()).await;
            let page = page.map_err(|error| refuse(&error))?;
            found.extend(page.records.into_iter().filter_map(listed));
            match page.next {
                // A server that goes in circles is not followed.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => break,
            }
        }
        Ok(found)
    }

    /// What the server keeps and did.
    pub async fn stats(&self) -> Result<ServerStats, BuildError> {
        self.remote.server_stats().await.map_err(|e| refuse(&e))
    }

    /// Lets the server make room, where it has to.
    pub async fn collect(&self) -> Result<Removed, BuildError> {
        self.remote.collect().await.map_err(|e| refuse(&e))
    }

    /// Lets the server hash all its content; `each` sees how far it is.
    pub async fn rehash(&self, each: impl FnMut(&Verified)) -> Result<Verified, BuildError> {
        self.remote.verify(each).await.map_err(|e| refuse(&e))
    }

    /// One record: by the beginning of the key that the server has for it, or by its whole key as
    /// builds have it. A whole key is asked for without a list, which few servers have.
    ///
    /// # Errors
    /// When there is none or there are several, or it cannot be read.
    pub async fn see(&self, name: &str) -> Result<(ListedRecord, Seen), BuildError> {
        if let Ok(key) = Digest::from_hex(bare(name)) {
            for key in spellings(&key) {
                match self.remote.see(&key).await {
                    Err(Flaw::Absent) => {}
                    outcome => {
                        let seen = outcome.map_err(|flaw| self.unreadable(&key, &flaw))?;
                        return Ok((unlisted(key, &seen), seen));
                    }
                }
            }
        }
        let record = self.find(name).await?;
        let remote = self.at(&record.namespace).await?;
        let seen = remote.see(&record.key).await;
        let seen = seen.map_err(|flaw| self.unreadable(&record.key, &flaw))?;
        Ok((record, seen))
    }

    /// The one record that `name` fits among those that the server lists.
    pub async fn find(&self, name: &str) -> Result<ListedRecord, BuildError> {
        let whole = Digest::from_hex(bare(name)).ok();
        let keys: Vec<Digest> = whole.iter().flat_map(spellings).collect();
        let fits = |record: &ListedRecord| {
            let begins = !bare(name).is_empty() && record.key.hex().starts_with(bare(name));
            begins || keys.contains(&record.key)
        };
        let fitting = self.list().await?.into_iter().filter(fits);
        let what = format!("record of {}", self.name());
        let line =
            |record: &ListedRecord| format!("{} in `{}`", record.key.hex(), record.namespace);
        let found = one(fitting.collect(), name, &what, line);
        found.map_err(|error| match error {
            BuildError::Request { message, .. } if message.starts_with("no ") => {
                BuildError::request_with(message, "`acetate cache ls --remote` lists them")
            }
            error => error,
        })
    }

    /// Removes a record; false when it was gone.
    pub async fn remove(&self, record: &ListedRecord) -> Result<bool, BuildError> {
        let namespace = record.namespace.parse::<Namespace>();
        let namespace = namespace.map_err(|error| BuildError::request(error.to_string()))?;
        let removed = self.remote.remove(&namespace, &record.key).await;
        removed.map_err(|error| refuse(&error))
    }

    /// The cache of a namespace of the same server, read with the same keys.
    pub(super) async fn at(&self, namespace: &str) -> Result<RemoteCache, BuildError> {
        let namespace = namespace.parse::<Namespace>();
        let namespace = namespace.map_err(|error| BuildError::request(error.to_string()))?;
        let mut spec = self.spec.clone();
        if let (CachePlace::Http { url, .. }, Ok(Some(address))) =
            (&mut spec.place, self.spec.place.address())
        {
            *url = format!("{}/{namespace}", address.origin);
        }
        Ok(self.engine.cache_server(&spec).await?.remote)
    }

    fn unreadable(&self, key: &Digest, flaw: &Flaw) -> BuildError {
        let (key, name) = (key.hex(), self.name());
        BuildError::request_with(
            format!("the record {key} of {name} is not to be had: {flaw}"),
            "`acetate cache verify --remote` looks at all of them",
        )
    }
}

/// A record that was asked for without a list.
fn unlisted(key: Digest, seen: &Seen) -> ListedRecord {
    ListedRecord {
        namespace: seen.namespace.clone().unwrap_or_default(),
        key,
        size: 0,
        age_secs: 0,
        saved_ms: seen.record.duration_ms,
    }
}

/// A key as it stands, and those that a cache has for it when it is one of a build.
fn spellings(key: &Digest) -> [Digest; 4] {
    [
        *key,
        action_key(&CacheKey::definition(&DefinitionKey::from_digest(*key), 0)),
        action_key(&CacheKey::content(&ContentKey::from_digest(*key), 0)),
        action_key(&CacheKey::hint(&OpKey::from_digest(*key))),
    ]
}

/// What names no key is from another program, and nothing that could be asked for here.
fn listed(entry: Entry) -> Option<ListedRecord> {
    Some(ListedRecord {
        key: Digest::from_hex(&entry.key).ok()?,
        namespace: entry.namespace,
        size: entry.size,
        age_secs: entry.age_secs,
        saved_ms: entry.saved_ms,
    })
}

fn refuse(error: &AdminError) -> BuildError {
    BuildError::request(crate::error::words(error))
}
