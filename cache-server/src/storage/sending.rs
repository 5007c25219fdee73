use super::bucket::{Bucket, unavailable};
use super::{StorageError, content};
use acetate_oci::Digest;
use object_store::{MultipartUpload, ObjectStoreExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::bytes::Bytes;

/// Larger content travels in parts of this size, which begin while the rest still arrives.
const PART: u64 = 8 << 20;
/// Parts of one object that are on their way at a time.
const AT_ONCE: usize = 4;

/// Content on its way from a file into the bucket. It is visible there when [`Sending::finish`] has
/// succeeded, and never else.
#[derive(Debug)]
pub(super) struct Sending {
    bucket: Arc<Bucket>,
    digest: Digest,
    file: Arc<File>,
    /// How many bytes there will be.
    size: u64,
    sent: u64,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<Result<(), object_store::Error>>,
}

impl Sending {
    pub(super) fn new(bucket: &Arc<Bucket>, digest: &Digest, size: u64, file: File) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            digest: *digest,
            file: Arc::new(file),
            size,
            sent: 0,
            upload: None,
            parts: JoinSet::new(),
        }
    }

    /// Sends the parts that are complete, now that so many bytes are in the file.
    pub(super) async fn advance(&mut self, written: u64) -> Result<(), StorageError> {
        // The last part is sent when it is known that all bytes are right.
        while self.size > PART && written - self.sent >= PART && self.size - self.sent > PART {
            self.part(PART).await?;
        }
        Ok(())
    }

    /// Sends what is left and makes it visible; the bytes must be those of the digest.
    pub(super) async fn finish(mut self) -> Result<(), StorageError> {
        if self.upload.is_none() {
            let (bytes, _permit) = self.read(self.size).await?;
            self.bucket.put(&self.digest, bytes).await?;
        } else {
            while self.sent < self.size {
                self.part(PART.min(self.size - self.sent)).await?;
            }
            while let Some(done) = self.parts.join_next().await {
                sent(done)?;
            }
            if let Some(upload) = &mut self.upload {
                let complete = upload.complete().await;
                complete.map_err(|error| unavailable(Some(error)))?;
            }
            self.upload = None;
        }
        self.bucket.saw(&self.digest);
        Ok(())
    }

    async fn part(&mut self, len: u64) -> Result<(), StorageError> {
        while self.parts.len() >= AT_ONCE {
            if let Some(done) = self.parts.join_next().await {
                sent(done)?;
            }
        }
        let (bytes, permit) = self.read(len).await?;
        if self.upload.is_none() {
            let path = self.bucket.path(&content(self.digest));
            let begun = self.bucket.store.put_multipart(&path).await;
            self.upload = Some(begun.map_err(|error| unavailable(Some(error)))?);
        }
        if let Some(upload) = &mut self.upload {
            let part = upload.put_part(bytes.into());
            self.parts.spawn(async move {
                let _permit = permit;
                part.await
            });
        }
        self.sent += len;
        Ok(())
    }

    /// The next bytes, when there is memory for them.
    async fn read(&mut self, len: u64) -> Result<(Bytes, OwnedSemaphorePermit), StorageError> {
        let mebibytes = u32::try_from(len.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bucket.sending);
        let permit = permit.acquire_many_owned(mebibytes.max(1)).await;
        let permit = permit.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        let (file, at) = (Arc::clone(&self.file), self.sent);
        let read = acetate_stdx::blocking(move || {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, at).map(|()| bytes)
        });
        let bytes = read.await;
        let bytes = bytes.map_err(|error| StorageError::io("read", "tmp".as_ref(), error))?;
        Ok((bytes.into(), permit))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Parts that nobody completes are invisible, and would be paid for until a rule of the bucket
        // removes them.
        if let Some(mut upload) = self.upload.take() {
            let mut parts = std::mem::take(&mut self.parts);
            self.bucket.tasks.spawn(async move {
                parts.shutdown().await;
                if let Err(error) = upload.abort().await {
                    tracing::debug!(%error, "parts were left in the bucket");
                }
            });
        }
    }
}

fn sent(
    done: Result<Result<(), object_store::Error>, tokio::task::JoinError>,
) -> Result<(), StorageError> {
    match done {
        Ok(done) => done.map_err(|error| unavailable(Some(error))),
        Err(error) => Err(StorageError::Unavailable(error.to_string())),
    }
}
