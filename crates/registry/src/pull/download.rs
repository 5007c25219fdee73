//! Streams a blob, and goes on after a broken connection where it stopped.

use acetate_net::{Method, NetError, Response};
use acetate_oci::{Descriptor, Digest};
use tokio::sync::mpsc;

use crate::registries::{Registries, Site, Tries};
use crate::{Progress, RegistryError, Repository};

/// A piece of a blob; its type belongs to the HTTP library.
pub type Piece = Box<dyn AsRef<[u8]> + Send>;

/// How far a download got.
struct State<'a> {
    blob: &'a Descriptor,
    pieces: &'a mpsc::Sender<Piece>,
    progress: &'a dyn Progress,
    n_done: u64,
    /// Broken connections since a byte arrived.
    n_failures: u32,
}

impl Registries {
    /// Sends all bytes of a blob into `pieces`, in order, each once; mirrors are asked first.
    ///
    /// More bytes than the descriptor says are refused at once, fewer at the end; the digest is
    /// the receiver's to check. A receiver that is gone ends the download without error. Gives the
    /// mirrors that had a part in it, for [`Self::distrust`].
    ///
    /// # Errors
    /// When no host has it, or too many connections break in a row.
    pub async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        pieces: &mpsc::Sender<Piece>,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, RegistryError> {
        let sites = self.readable(repository).await?;
        let (last, mirrors) = sites
            .split_last()
            .expect("a registry is its own last mirror");
        let mut state = State {
            blob,
            pieces,
            progress,
            n_done: 0,
            n_failures: 0,
        };
        let mut used = Vec::new();
        for site in mirrors {
            let before = state.n_done;
            let outcome = self.from(site, &mut state, Tries::Once).await;
            if state.n_done > before {
                used.push(site.endpoint.host.clone());
            }
            match outcome {
                // Too many bytes have been given out already.
                Err(error) if error.blames_mirror() && state.n_done <= blob.size => {
                    self.rest(&site.endpoint.host, &error);
                    state.n_failures = 0;
                }
                outcome => return outcome.map(|()| used),
            }
        }
        self.from(last, &mut state, Tries::Many)
            .await
            .map(|()| used)
    }

    /// Reads and verifies a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Self::blob`]; also when it is larger, or does not have its digest.
    pub async fn small_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = || format!("the blob `{}` of `{repository}`", blob.digest);
        if blob.size > limit {
            let reason = format!("it has {} bytes, more than the limit of {limit}", blob.size);
            return Err(RegistryError::corrupt(what(), reason));
        }
        loop {
            let (bytes, mirrors) = self.collect(repository, blob).await?;
            if Digest::of(&bytes) == blob.digest {
                return Ok(bytes);
            }
            if mirrors.is_empty() {
                return Err(RegistryError::corrupt(
                    what(),
                    "its bytes have another digest",
                ));
            }
            for mirror in mirrors {
                self.distrust(&mirror);
            }
        }
    }

    async fn collect(
        &self,
        repository: &Repository,
        blob: &Descriptor,
    ) -> Result<(Vec<u8>, Vec<String>), RegistryError> {
        let (sender, mut pieces) = mpsc::channel::<Piece>(16);
        let download = async {
            let sender = sender;
            self.blob(repository, blob, &sender, &crate::NoProgress)
                .await
        };
        let collect = async {
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.recv().await {
                bytes.extend_from_slice((*piece).as_ref());
            }
            bytes
        };
        let (downloaded, bytes) = tokio::join!(download, collect);
        downloaded.map(|mirrors| (bytes, mirrors))
    }

    /// Reads the rest of a blob from one host, over as many connections as it takes.
    async fn from(
        &self,
        site: &Site,
        state: &mut State<'_>,
        tries: Tries,
    ) -> Result<(), RegistryError> {
        let n_retries = match tries {
            Tries::Many => self.net.limits().n_retries,
            // Another host goes on from where this one stands still.
            Tries::Once => 1,
        };
        loop {
            match self.part(site, state, tries).await {
                Err(RegistryError::Net(NetError::Interrupted { .. }))
                    if state.n_done == state.blob.size =>
                {
                    // More was announced than the blob has, and none of it is missing.
                    return Ok(());
                }
                Err(RegistryError::Net(error @ NetError::Interrupted { .. })) => {
                    state.n_failures += 1;
                    if state.n_failures > n_retries {
                        return Err(error.into());
                    }
                    tracing::debug!(%error, done = state.n_done, "going on with the blob");
                    self.net.pause(state.n_failures).await;
                }
                result => return result,
            }
        }
    }

    /// One connection's part of the blob.
    async fn part(
        &self,
        site: &Site,
        state: &mut State<'_>,
        tries: Tries,
    ) -> Result<(), RegistryError> {
        let blob = state.blob;
        let mut request = site.request(Method::Get, &format!("blobs/{}", blob.digest))?;
        if state.n_done > 0 {
            request = request.header("range", format!("bytes={}-", state.n_done));
        }
        let what = format!("the blob `{}` of `{}`", blob.digest, site.repository);
        let mut response = self.send(site, &request, tries).await?;
        let start = match (response.status(), range_start(&response)) {
            (200, _) => 0,
            (206, Some(start)) if start <= state.n_done => start,
            (206, _) => return Err(RegistryError::corrupt(what, "another range was sent")),
            // All bytes were here when the connection broke.
            (416, _) if state.n_done == blob.size => return Ok(()),
            _ => return Err(self.refusal(site, response, "read", &what).await),
        };
        // A server that ignores the range sends again what is here already.
        let mut n_skip = state.n_done - start;
        while let Some(piece) = response.chunk().await? {
            let length = piece.as_ref().len() as u64;
            let fresh = length.saturating_sub(n_skip);
            let old = length - fresh;
            n_skip -= old;
            if fresh == 0 {
                continue;
            }
            state.n_done += fresh;
            state.n_failures = 0;
            if state.n_done > blob.size {
                let reason = format!("it is larger than its {} bytes", blob.size);
                return Err(RegistryError::corrupt(what, reason));
            }
            let piece: Piece = if old == 0 {
                Box::new(piece)
            } else {
                let old = usize::try_from(old).unwrap_or(usize::MAX);
                Box::new(piece.as_ref()[old..].to_vec())
            };
            if state.pieces.send(piece).await.is_err() {
                return Ok(());
            }
            state.progress.moved(blob, state.n_done);
        }
        if state.n_done < blob.size {
            let reason = format!("it ends after {} of {} bytes", state.n_done, blob.size);
            return Err(RegistryError::corrupt(what, reason));
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
