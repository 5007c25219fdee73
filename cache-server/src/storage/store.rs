use super::arrival::Arrival;
use super::bucket::Bucket;
use super::content::Content;
use super::disk::Reservation;
use super::filling::{Filler, Filling, Fillings, Wanted};
use super::sending::Sending;
use super::source::Fetched;
use super::tasks::Tasks;
use super::{Backing, Condition, Disk, Put, StorageError, Stored, content, tier};
use crate::upstream::{Found, Reach, Upstream};
use acetate_cache_api::{Kind, Route};
use acetate_oci::Digest;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// Content of so many bytes is there before its answer begins.
const SMALL: u64 = 1 << 20;
/// So many files are looked for at once: a thread costs more.
const FEW: usize = 256;
/// A tree of more bytes is nobody's list of chunks.
const MAX_TREE: u64 = 16 << 20;

/// Where objects are, behind one face: a directory, or a bucket with copies in a directory, and
/// possibly another server above either. Who asks cannot tell.
#[derive(Debug)]
pub struct Storage {
    /// All objects, or copies of the content that is in the bucket.
    local: Arc<Disk>,
    bucket: Option<Arc<Bucket>>,
    upstream: Option<Arc<Upstream>>,
    fillings: Arc<Fillings>,
    tasks: Tasks,
}

impl Storage {
    /// A directory that holds all objects.
    pub fn of_disk(disk: Arc<Disk>) -> Self {
        Self {
            local: disk,
            bucket: None,
            upstream: None,
            fillings: Arc::default(),
            tasks: Tasks::default(),
        }
    }

    /// A directory and what is behind it, which must answer.
    pub async fn open(disk: Arc<Disk>, backing: Backing) -> Result<Self, StorageError> {
        let mut storage = Self::of_disk(disk);
        if let Backing::Bucket {
            store,
            prefix,
            known_for,
        } = backing
        {
            let bucket = Bucket::new(store, prefix, known_for);
            bucket.check().await?;
            storage.bucket = Some(Arc::new(bucket));
        }
        Ok(storage)
    }

    /// Finds out whether objects can be read now.
    pub async fn ready(&self) -> Result<(), StorageError> {
        match &self.bucket {
            None => Ok(()),
            Some(bucket) => bucket.check_layout().await,
        }
    }

    /// Asks another server for what is missing here, and tells it what is new.
    pub(crate) fn below(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(Arc::new(upstream));
        self
    }

    pub(crate) fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.upstream.as_ref()
    }

    /// Content, wherever it is.
    ///
    /// # Errors
    /// When nobody knows whether it is there.
    pub async fn content(
        &self,
        digest: &Digest,
        reach: &Reach,
    ) -> Result<Option<Content>, StorageError> {
        if let Some(found) = self.local.open_object(&content(*digest))? {
            return Ok(Some(found.into()));
        }
        if self.is_local(reach) {
            return Ok(None);
        }
        self.fill(digest, reach).await
    }

    /// True when nobody else is asked.
    fn is_local(&self, reach: &Reach) -> bool {
        self.bucket.is_none() && self.above(reach).is_none()
    }

    /// True when another server may be asked.
    pub(crate) fn goes_above(&self, reach: &Reach) -> bool {
        self.above(reach).is_some()
    }

    fn above(&self, reach: &Reach) -> Option<&Arc<Upstream>> {
        self.upstream.as_ref().filter(|_| reach.goes_on())
    }

    /// Fetches content once for all who want it now; who comes later reads the file.
    async fn fill(&self, digest: &Digest, reach: &Reach) -> Result<Option<Content>, StorageError> {
        let wanted = (*digest, reach.hops());
        let place = self.fillings.place(wanted);
        let mut end = EndUnlessBegun {
            fillings: &self.fillings,
            wanted: Some(wanted),
        };
        let begun = place.get_or_try_init(|| async {
            // Whoever filled the place before us may have ended just now.
            if let Some(found) = self.local.open_object(&content(*digest))? {
                return Err(NotFilled::Content(found.into()));
            }
            let fetched = self.fetch(digest, reach).await?.ok_or(NotFilled::Absent)?;
            match self.room(fetched.size).await? {
                Some(room) => Ok(self.begin(wanted, fetched, room)?),
                None => Err(NotFilled::Content(Content::passing(fetched, *digest))),
            }
        });
        match begun.await {
            Ok(filling) => {
                end.wanted = None;
                settled(filling.clone()).await.map(Some)
            }
            Err(NotFilled::Absent) => Ok(None),
            Err(NotFilled::Content(content)) => Ok(Some(content)),
            Err(NotFilled::Failed(error)) => Err(error),
        }
    }

    fn begin(
        &self,
        wanted: Wanted,
        fetched: Fetched,
        room: Reservation,
    ) -> Result<Filling, StorageError> {
        let (filler, filling) = Filler::begin(&self.local, &wanted.0, fetched.size, room)?;
        let fillings = Arc::clone(&self.fillings);
        let bucket = self.bucket.clone();
        let digest = wanted.0;
        self.tasks.spawn(async move {
            let done = filler.run(fetched).await;
            fillings.end(wanted);
            let Err(error) = done else { return };
            tracing::warn!(%error, %digest, "content did not arrive");
            if let (StorageError::WrongContent { .. }, Some(bucket)) = (&error, bucket)
                && let Err(error) = bucket.remove(&content(digest)).await
            {
                // It is never served, but clients are told that it is there.
                tracing::error!(%error, %digest, "damaged content stays in the bucket");
            }
        });
        Ok(filling)
    }

    async fn fetch(&self, digest: &Digest, reach: &Reach) -> Result<Option<Fetched>, StorageError> {
        if let Some(bucket) = &self.bucket
            && let Some(fetched) = bucket.fetch(digest).await?
        {
            return Ok(Some(fetched));
        }
        match self.above(reach) {
            None => Ok(None),
            Some(upstream) => Ok(upstream.content(digest, reach).await),
        }
    }

    /// Room for content from elsewhere; none when it is passed on without being kept.
    async fn room(&self, size: u64) -> Result<Option<Reservation>, StorageError> {
        if self.bucket.is_none() {
            return Ok(self.local.reserve(size).ok());
        }
        let disk = Arc::clone(&self.local);
        acetate_stdx::blocking(move || tier::room(&disk, size)).await
    }

    /// All bytes of content that is not larger than this.
    async fn small(
        &self,
        digest: &Digest,
        most: u64,
        reach: &Reach,
    ) -> Result<Option<Bytes>, StorageError> {
        let Some(content) = self.content(digest, reach).await? else {
            return Ok(None);
        };
        if content.size() > most {
            return Ok(None);
        }
        let all = content.all().await;
        let all = all.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        Ok(Some(all))
    }

    /// The size of content, wherever it is.
    pub async fn size_of(
        &self,
        digest: &Digest,
        reach: &Reach,
    ) -> Result<Option<u64>, StorageError> {
        if let Some(size) = self.local.size_of(&content(*digest)) {
            return Ok(Some(size));
        }
        if let Some(bucket) = &self.bucket
            && let Some(size) = bucket.size_of(digest).await?
        {
            return Ok(Some(size));
        }
        match self.above(reach) {
            None => Ok(None),
            Some(upstream) => Ok(upstream.size_of(digest, reach).await),
        }
    }

    /// True when content need not be sent, as far as can be said without asking anybody.
    pub fn is_known(&self, digest: &Digest, size: u64) -> bool {
        match &self.bucket {
            None => self.local.size_of(&content(*digest)) == Some(size),
            Some(bucket) => bucket.knows(digest),
        }
    }

    /// What of all this is nowhere, in the order of the question. What is here counts as used.
    pub async fn missing(
        &self,
        digests: Vec<Digest>,
        reach: &Reach,
    ) -> Result<Vec<Digest>, StorageError> {
        let mut missing = if digests.len() <= FEW {
            self.local.without(digests)
        } else {
            let disk = Arc::clone(&self.local);
            acetate_stdx::blocking(move || disk.without(digests)).await
        };
        if let Some(bucket) = &self.bucket
            && !missing.is_empty()
        {
            missing = bucket.missing(&missing).await?;
        }
        match self.above(reach) {
            Some(upstream) if !missing.is_empty() => Ok(upstream.missing(missing, reach).await),
            _ => Ok(missing),
        }
    }

    /// What a record saves and which content it names, that of its trees included; none when it is
    /// no record of that kind, or a tree of it is nowhere.
    pub async fn needs(
        &self,
        body: &[u8],
        reach: &Reach,
    ) -> Result<Option<(u64, Vec<Digest>)>, StorageError> {
        let Some(named) = crate::record::trees(body) else {
            return Ok(None);
        };
        let mut trees = HashMap::new();
        for tree in named {
            let Some(bytes) = self.small(&tree, MAX_TREE, reach).await? else {
                return Ok(None);
            };
            trees.insert(tree, bytes);
        }
        let tree = |digest: &Digest| trees.get(digest).map(|bytes| bytes.to_vec());
        Ok(crate::record::needs(body, tree))
    }

    /// Reads a record of at most so many bytes.
    pub async fn record(&self, route: &Route, most: u64) -> Result<Option<Stored>, StorageError> {
        match &self.bucket {
            None => self.local.read_record(route, most),
            Some(bucket) => bucket.record(route, most).await,
        }
    }

    /// What the server above has under keys of a namespace and of those above it.
    pub(crate) async fn records_above(&self, keys: &[Digest], reach: &Reach) -> Vec<Found> {
        match self.above(reach) {
            None => Vec::new(),
            Some(upstream) => upstream.records(keys, reach).await,
        }
    }

    /// Writes a record when the condition holds.
    pub async fn put_record(
        &self,
        route: &Route,
        body: Bytes,
        (saved_ms, refs): (u64, &[Digest]),
        condition: Condition,
    ) -> Result<Put, StorageError> {
        if let Some(bucket) = &self.bucket {
            return bucket.put_record(route, body, &condition).await;
        }
        let (disk, route, refs) = (Arc::clone(&self.local), route.clone(), refs.to_vec());
        acetate_stdx::blocking(move || disk.put_record(&route, &body, saved_ms, &refs, &condition))
            .await
    }

    /// Begins to take content of so many bytes.
    ///
    /// # Errors
    /// When there is no room for it.
    pub async fn arrival(&self, digest: &Digest, size: u64) -> Result<Arrival, StorageError> {
        let room = match &self.bucket {
            None => Some(self.local.reserve(size)?),
            Some(_) => self.room(size).await?,
        };
        let upload = self.local.upload()?;
        let sending = match &self.bucket {
            None => None,
            Some(bucket) => Some(Sending::new(bucket, digest, size, upload.reader()?)),
        };
        Ok(Arrival {
            disk: Arc::clone(&self.local),
            digest: *digest,
            upload,
            room,
            sending,
        })
    }

    /// Removes an object; true when there was one.
    pub async fn remove(&self, route: &Route) -> Result<bool, StorageError> {
        let was_local = match (route.kind, &self.bucket) {
            (Kind::Action, Some(_)) => false,
            _ => self.local.remove(route)?,
        };
        match &self.bucket {
            None => Ok(was_local),
            Some(bucket) => Ok(bucket.remove(route).await? || was_local),
        }
    }

    /// Notes a use.
    pub fn touch(&self, route: &Route) {
        self.local.touch(route);
    }

    /// A number that grows whenever a record may be another one or incomplete, as far as this server
    /// can know.
    pub fn changes(&self, record: &Digest) -> u64 {
        match &self.bucket {
            None => self.local.changes(record),
            Some(bucket) => bucket.changes(record),
        }
    }
}

/// Gives a place back that nothing fills, also when nobody waits for that any more.
struct EndUnlessBegun<'a> {
    fillings: &'a Fillings,
    wanted: Option<Wanted>,
}

impl Drop for EndUnlessBegun<'_> {
    fn drop(&mut self) {
        if let Some(wanted) = self.wanted {
            self.fillings.end(wanted);
        }
    }
}

/// Small content is waited for, so that a source that fails is an answer and not a body that breaks
/// off. Nobody waits longer for it: the last bytes are held back in any case.
async fn settled(mut filling: Filling) -> Result<Content, StorageError> {
    if filling.size() <= SMALL && !filling.whole().await {
        let text = "content did not arrive whole".to_owned();
        return Err(StorageError::Unavailable(text));
    }
    Ok(filling.into())
}

/// Why there is no filling.
enum NotFilled {
    Absent,
    /// It is here, or passes without being kept.
    Content(Content),
    Failed(StorageError),
}

impl From<StorageError> for NotFilled {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}
