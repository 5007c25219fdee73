//! Streams a blob, and goes on after a broken connection where it stopped.

use acetate_net::{NetError, Response};
use acetate_oci::{Descriptor, Reference};
use tokio::sync::mpsc;

use super::{Registries, refusal, request};
use crate::ImageError;

/// A piece of a blob; its type belongs to the HTTP library.
pub(crate) type Piece = Box<dyn AsRef<[u8]> + Send>;

/// How far a download got.
struct Progress {
    n_done: u64,
    /// Broken connections since a byte arrived.
    n_failures: u32,
}

impl Registries {
    /// Sends all bytes of a blob into `pieces`, in order, each once.
    ///
    /// More bytes than the descriptor says are refused at once, fewer at the end; the digest is
    /// the receiver's to check. A receiver that is gone ends the download without error.
    pub(crate) async fn blob(
        &self,
        image: &Reference,
        blob: &Descriptor,
        pieces: &mpsc::Sender<Piece>,
    ) -> Result<(), ImageError> {
        let mut progress = Progress {
            n_done: 0,
            n_failures: 0,
        };
        loop {
            match self.part(image, blob, pieces, &mut progress).await {
                Err(ImageError::Net(error @ NetError::Interrupted { .. })) => {
                    progress.n_failures += 1;
                    if progress.n_failures > self.net.limits().n_retries {
                        return Err(error.into());
                    }
                    tracing::debug!(%error, done = progress.n_done, "going on with the blob");
                    self.net.pause(progress.n_failures).await;
                }
                result => return result,
            }
        }
    }

    /// Reads a blob that fits into memory.
    pub(crate) async fn small_blob(
        &self,
        image: &Reference,
        blob: &Descriptor,
    ) -> Result<Vec<u8>, ImageError> {
        let (sender, mut pieces) = mpsc::channel::<Piece>(16);
        let download = async {
            let sender = sender;
            self.blob(image, blob, &sender).await
        };
        let collect = async {
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.recv().await {
                bytes.extend_from_slice((*piece).as_ref());
            }
            bytes
        };
        let (downloaded, bytes) = tokio::join!(download, collect);
        downloaded.map(|()| bytes)
    }

    /// One connection's part of the blob.
    async fn part(
        &self,
        image: &Reference,
        blob: &Descriptor,
        pieces: &mpsc::Sender<Piece>,
        progress: &mut Progress,
    ) -> Result<(), ImageError> {
        let mut request = request(image, &format!("blobs/{}", blob.digest))?;
        if progress.n_done > 0 {
            request = request.header("range", format!("bytes={}-", progress.n_done));
        }
        let what = format!("the blob `{}` of `{image}`", blob.digest);
        let mut response = self.send(image, &request).await?;
        let start = match (response.status(), range_start(&response)) {
            (200, _) => 0,
            (206, Some(start)) if start <= progress.n_done => start,
            (206, _) => return Err(ImageError::corrupt(what, "another range was sent")),
            _ => return Err(refusal(response, &what, image).await),
        };
        // A server that ignores the range sends again what is here already.
        let mut n_skip = progress.n_done - start;
        while let Some(piece) = response.chunk().await? {
            let length = piece.as_ref().len() as u64;
            let fresh = length.saturating_sub(n_skip);
            let old = length - fresh;
            n_skip -= old;
            if fresh == 0 {
                continue;
            }
            progress.n_done += fresh;
            progress.n_failures = 0;
            if progress.n_done > blob.size {
                let reason = format!("it is larger than its {} bytes", blob.size);
                return Err(ImageError::corrupt(what, reason));
            }
            let piece: Piece = if old == 0 {
                Box::new(piece)
            } else {
                let old = usize::try_from(old).unwrap_or(usize::MAX);
                Box::new(piece.as_ref()[old..].to_vec())
            };
            if pieces.send(piece).await.is_err() {
                return Ok(());
            }
        }
        if progress.n_done < blob.size {
            let reason = format!("it ends after {} of {} bytes", progress.n_done, blob.size);
            return Err(ImageError::corrupt(what, reason));
        }
        Ok(())
    }
}

/// The first byte of a partial answer.
fn range_start(response: &Response) -> Option<u64> {
    let range = response
        .headers()
        .get("content-range")?
        .strip_prefix("bytes ")?;
    range.split_once('-')?.0.parse().ok()
}
