use super::disk::Reservation;
use super::sending::Sending;
use super::upload::Upload;
use super::{Disk, StorageError};
use acetate_oci::Digest;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// Content that a client sends. Nobody sees any of it before [`Arrival::publish`] has succeeded.
#[derive(Debug)]
pub struct Arrival {
    pub(super) disk: Arc<Disk>,
    pub(super) digest: Digest,
    pub(super) upload: Upload,
    /// Room for it to stay here; without it the content goes to the bucket only.
    pub(super) room: Option<Reservation>,
    pub(super) sending: Option<Sending>,
}

impl Arrival {
    /// Appends bytes; only blocking threads may.
    pub fn append(mut self, part: &[Bytes]) -> Result<Self, StorageError> {
        for bytes in part {
            self.upload.write(bytes)?;
        }
        Ok(self)
    }

    /// Sends on what was appended, where that is needed.
    pub async fn forward(&mut self) -> Result<(), StorageError> {
        match &mut self.sending {
            None => Ok(()),
            Some(sending) => sending.advance(self.upload.size()).await,
        }
    }

    /// Makes the content visible.
    ///
    /// # Errors
    /// When the bytes are not those of the digest, or could not be kept.
    pub async fn publish(self) -> Result<(), StorageError> {
        let Self {
            disk,
            digest,
            upload,
            room,
            sending,
        } = self;
        let finished = acetate_stdx::blocking(move || upload.finish_as(&digest)).await?;
        let is_elsewhere = sending.is_some();
        if let Some(sending) = sending {
            sending.finish().await?;
        }
        if room.is_none() {
            return Ok(());
        }
        let kept = acetate_stdx::blocking(move || {
            let kept = disk.publish(finished);
            drop(room);
            kept
        });
        match kept.await {
            // It is in the bucket, and the copy is only for speed.
            Err(error) if is_elsewhere => {
                tracing::warn!(%error, "content was not kept on the disk");
                Ok(())
            }
            kept => kept,
        }
    }
}
