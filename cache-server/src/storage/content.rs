use super::disk::Found;
use super::filling::Filling;
use super::source::{Fetched, Passing};
use acetate_oci::Digest;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// Up to this size a file is read at once: it is in the page cache, and a thread costs more.
const SMALL: u64 = 64 << 10;
/// Bytes that are read at a time where nobody says it.
const USUAL: u64 = 256 << 10;

/// Content that was found, wherever it is.
#[derive(Debug)]
pub struct Content {
    size: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A file that is whole.
    File(File),
    /// A file that is being written.
    Filling(Filling),
    /// On its way from elsewhere, and not kept here.
    Passing(Fetched, Digest),
}

impl From<Found> for Content {
    fn from(found: Found) -> Self {
        Self {
            size: found.size,
            form: Form::File(found.file),
        }
    }
}

impl From<Filling> for Content {
    fn from(filling: Filling) -> Self {
        Self {
            size: filling.size(),
            form: Form::Filling(filling),
        }
    }
}

impl Content {
    pub(super) fn passing(fetched: Fetched, digest: Digest) -> Self {
        Self {
            size: fetched.size,
            form: Form::Passing(fetched, digest),
        }
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from one place to another, when they can be had without waiting.
    pub fn at_hand(&self, start: u64, end: u64) -> Option<io::Result<Bytes>> {
        match &self.form {
            Form::File(file) if end - start <= SMALL => Some(piece(file, start, end - start)),
            _ => None,
        }
    }

    /// The bytes from one place to another; `most` says how many to move at a time.
    pub fn stream(
        self,
        start: u64,
        end: u64,
        most: impl Fn() -> u64 + Send + 'static,
    ) -> std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
        match self.form {
            Form::File(file) => Box::pin(of_file(file, start, end, most)),
            Form::Filling(filling) => {
                let begin = (filling, start, most);
                Box::pin(try_unfold(
                    begin,
                    move |(mut filling, at, most)| async move {
                        if at >= end {
                            return Ok(None);
                        }
                        let bytes = filling.read(at, most(), end).await?;
                        let next = at + bytes.len() as u64;
                        Ok(Some((bytes, (filling, next, most))))
                    },
                ))
            }
            Form::Passing(fetched, digest) => {
                let passing = Passing::new(fetched, digest, (start, end));
                Box::pin(try_unfold(passing, |mut passing| async move {
                    let next = passing.next().await?;
                    Ok(next.map(|bytes| (bytes, passing)))
                }))
            }
        }
    }

    /// All bytes.
    pub async fn all(self) -> io::Result<Bytes> {
        if let Some(bytes) = self.at_hand(0, self.size) {
            return bytes;
        }
        let size = self.size;
        let mut all = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let mut pieces = self.stream(0, size, || USUAL);
        while let Some(piece) = futures_util::StreamExt::next(&mut pieces).await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }

    /// Its whole file; none when the content does not come to rest here.
    pub(crate) async fn file(self) -> Option<(Arc<File>, u64)> {
        match self.form {
            Form::File(file) => Some((Arc::new(file), self.size)),
            Form::Filling(mut filling) => {
                let is_whole = filling.whole().await;
                is_whole.then(|| (filling.file(), self.size))
            }
            Form::Passing(..) => None,
        }
    }
}

fn of_file(
    file: File,
    start: u64,
    end: u64,
    most: impl Fn() -> u64 + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let file = Arc::new(file);
    try_unfold((start, most), move |(at, most)| {
        let file = Arc::clone(&file);
        async move {
            if at >= end {
                return Ok(None);
            }
            let len = most().min(end - at);
            let bytes = acetate_stdx::blocking(move || piece(&file, at, len)).await?;
            Ok(Some((bytes, (at + len, most))))
        }
    })
}

fn piece(file: &File, at: u64, len: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, at)?;
    Ok(Bytes::from(bytes))
}
