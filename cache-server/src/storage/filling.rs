use super::disk::Reservation;
use super::source::Fetched;
use super::upload::Upload;
use super::{Disk, StorageError};
use acetate_oci::Digest;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OnceCell, watch};
use tokio_util::bytes::Bytes;

/// Bytes that are written at a time.
const PIECE: usize = 256 << 10;

/// Content that is being fetched into the directory, once for all who want it.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    file: Arc<File>,
    size: u64,
    progress: watch::Receiver<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// So many bytes were written, and nobody knows yet whether they are right.
    Written(u64),
    /// All are there and right.
    Whole,
    Failed,
}

impl Filling {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// At most `len` bytes from a place, as soon as they are there. The last bytes before `end` are
    /// given when all of the content has proved right, so that nobody takes wrong bytes for whole.
    pub(super) async fn read(&mut self, at: u64, len: u64, end: u64) -> io::Result<Bytes> {
        let len = len.min(end - at);
        let wanted = at + len;
        let is_there = |progress: &Progress| match *progress {
            Progress::Written(n) => n >= wanted && wanted < end,
            Progress::Whole | Progress::Failed => true,
        };
        let progress = match self.progress.wait_for(is_there).await {
            Ok(progress) => *progress,
            // Whoever wrote is gone.
            Err(_) => Progress::Failed,
        };
        if progress == Progress::Failed {
            return Err(io::Error::other("the content did not arrive whole"));
        }
        let file = Arc::clone(&self.file);
        acetate_stdx::blocking(move || {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, at)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    /// Waits for the end; true when the content is whole.
    pub(super) async fn whole(&mut self) -> bool {
        let ended = |progress: &Progress| !matches!(progress, Progress::Written(_));
        let end = self.progress.wait_for(ended).await;
        end.is_ok_and(|end| *end == Progress::Whole)
    }
}

/// What is being fetched: content, and how many servers passed the question on. If two servers had
/// each other as upstream, and it were the digest alone, a question would wait for itself.
pub(super) type Wanted = (Digest, u8);

/// All that is being fetched.
#[derive(Debug, Default)]
pub(super) struct Fillings {
    all: Mutex<HashMap<Wanted, Arc<OnceCell<Filling>>>>,
}

impl Fillings {
    /// The place of one of them: who finds it empty begins, the others follow.
    pub(super) fn place(&self, wanted: Wanted) -> Arc<OnceCell<Filling>> {
        Arc::clone(self.lock().entry(wanted).or_default())
    }

    /// It has ended, or could not begin.
    pub(super) fn end(&self, wanted: Wanted) {
        self.lock().remove(&wanted);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Wanted, Arc<OnceCell<Filling>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's side of a filling.
#[derive(Debug)]
pub(super) struct Filler {
    disk: Arc<Disk>,
    digest: Digest,
    upload: Upload,
    _room: Reservation,
    progress: watch::Sender<Progress>,
}

impl Filler {
    /// An empty file and what reads it.
    pub(super) fn begin(
        disk: &Arc<Disk>,
        digest: &Digest,
        size: u64,
        room: Reservation,
    ) -> Result<(Self, Filling), StorageError> {
        let upload = disk.upload()?;
        let file = Arc::new(upload.reader()?);
        let (sender, progress) = watch::channel(Progress::Written(0));
        let filling = Filling {
            file,
            size,
            progress,
        };
        let filler = Self {
            disk: Arc::clone(disk),
            digest: *digest,
            upload,
            _room: room,
            progress: sender,
        };
        Ok((filler, filling))
    }

    /// Writes all that comes and makes it visible when it is right: while one part is written, the
    /// next one arrives.
    ///
    /// # Errors
    /// When the source fails, sends other bytes, or the disk does not take them.
    pub(super) async fn run(self, mut fetched: Fetched) -> Result<(), StorageError> {
        let progress = self.progress.clone();
        let done = self.take(&mut fetched).await;
        progress.send_replace(match &done {
            Ok(()) => Progress::Whole,
            Err(_) => Progress::Failed,
        });
        done
    }

    async fn take(self, fetched: &mut Fetched) -> Result<(), StorageError> {
        let Self {
            disk,
            digest,
            mut upload,
            progress,
            _room,
        } = self;
        let mut part = next(fetched).await?;
        while let Some(bytes) = part {
            let write = acetate_stdx::blocking(move || {
                for bytes in &bytes {
                    upload.write(bytes)?;
                }
                Ok::<_, StorageError>(upload)
            });
            let (written, after) = tokio::join!(write, next(fetched));
            upload = written?;
            progress.send_replace(Progress::Written(upload.size()));
            part = after?;
        }
        if upload.size() != fetched.size {
            return Err(StorageError::Unavailable(
                "it sent fewer bytes than it said".to_owned(),
            ));
        }
        acetate_stdx::blocking(move || disk.publish(upload.finish_as(&digest)?)).await
    }
}

async fn next(fetched: &mut Fetched) -> Result<Option<Vec<Bytes>>, StorageError> {
    let part = fetched.part(PIECE).await;
    part.map_err(|error| StorageError::Unavailable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn filling(bytes: &[u8]) -> (watch::Sender<Progress>, Filling) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let (sender, progress) = watch::channel(Progress::Written(0));
        let filling = Filling {
            file: Arc::new(file),
            size: bytes.len() as u64,
            progress,
        };
        (sender, filling)
    }

    /// What is read, if it need not be waited for.
    async fn now(filling: &mut Filling, at: u64, len: u64, end: u64) -> Option<io::Result<Bytes>> {
        let read = filling.read(at, len, end);
        tokio::time::timeout(std::time::Duration::from_millis(50), read)
            .await
            .ok()
    }

    #[tokio::test]
    async fn the_last_bytes_of_an_answer_wait_until_all_are_right() {
        let (sender, mut filling) = filling(b"abcdef");
        assert!(now(&mut filling, 0, 2, 6).await.is_none());
        sender.send_replace(Progress::Written(6));
        assert_eq!(now(&mut filling, 0, 2, 6).await.unwrap().unwrap(), "ab");
        for (at, len, end) in [(4, 2, 6), (4, 100, 6), (0, 6, 6), (0, 2, 2)] {
            assert!(
                now(&mut filling, at, len, end).await.is_none(),
                "{at} {len}"
            );
        }
        sender.send_replace(Progress::Whole);
        assert_eq!(now(&mut filling, 4, 100, 6).await.unwrap().unwrap(), "ef");
        assert!(filling.whole().await);
    }

    #[tokio::test]
    async fn what_fails_or_is_given_up_breaks_off() {
        let (sender, mut filling) = filling(b"abcdef");
        sender.send_replace(Progress::Written(6));
        let mut other = filling.clone();
        sender.send_replace(Progress::Failed);
        assert!(now(&mut filling, 0, 2, 6).await.unwrap().is_err());
        drop(sender);
        assert!(now(&mut other, 4, 2, 6).await.unwrap().is_err());
        assert!(!other.whole().await);
        let (sender, mut filling) = self::filling(b"abcdef");
        drop(sender);
        assert!(now(&mut filling, 0, 2, 6).await.unwrap().is_err());
    }
}
