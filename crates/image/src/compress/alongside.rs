//! The compressed form of a layer, made while its tar is being made.
//!
//! The tar is then read once instead of twice, and compressing waits for no tar that is ready.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use acetate_oci::Descriptor;
use acetate_registry::Progress;
use acetate_store::Store;

use super::{Fact, Recipe, n_threads, remember, write_with};
use crate::ImageError;

/// Bytes that are handed over at a time.
const PIECE: usize = 512 << 10;
/// Pieces that may wait, which bounds memory.
const N_AHEAD: usize = 4;

/// Lets one layer at a time be compressed alongside, which bounds memory.
#[derive(Clone, Debug, Default)]
pub struct Permit(Arc<AtomicBool>);

/// Takes the tar of a layer while it is written elsewhere, and compresses it on threads of its own.
///
/// Writing never fails: what goes wrong here is told at the end, when the tar itself is there and can
/// be compressed once more.
#[derive(Debug)]
pub struct Alongside {
    store: Arc<Store>,
    recipe: Recipe,
    permit: Permit,
    pending: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// All that there is fits into a piece.
    Small,
    Running(Feed),
    /// Another layer has the permit, or the thread has failed.
    Idle,
}

#[derive(Debug)]
struct Feed {
    /// An empty piece is the end: a sender that is dropped leaves no whole tar behind.
    full: mpsc::SyncSender<Vec<u8>>,
    /// Buffers that can be used again.
    empty: mpsc::Receiver<Vec<u8>>,
    thread: JoinHandle<Result<Fact, ImageError>>,
}

/// Gives the permit back, whatever happens.
struct Held(Permit);

impl Permit {
    fn take(&self) -> Option<Held> {
        (!self.0.swap(true, Ordering::Acquire)).then(|| Held(self.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

impl Alongside {
    /// Gets ready; nothing is started for a tar of less than a piece.
    pub fn new(store: &Arc<Store>, recipe: Recipe, permit: &Permit) -> Self {
        Self {
            store: Arc::clone(store),
            recipe,
            permit: permit.clone(),
            pending: Vec::new(),
            state: State::Small,
        }
    }

    /// Remembers the form as that of the layer `tar`, all of which has been written to this, and
    /// tells `progress` of it.
    ///
    /// Nothing happens when nothing was written, or another layer was compressed at that time.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self, tar: &Descriptor, progress: &dyn Progress) -> Result<(), ImageError> {
        let fact = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => return Ok(()),
            State::Small if self.pending.is_empty() => return Ok(()),
            State::Small => form(&self.store, self.recipe, 0, |out| {
                out.write_all(&self.pending)
            })?,
            State::Running(feed) => {
                let pending = std::mem::take(&mut self.pending);
                feed.end(pending)?
            }
        };
        remember(&self.store, &tar.digest, self.recipe, &fact);
        // Whose bytes they are is known only now.
        progress.moved(tar, tar.size);
        Ok(())
    }

    /// Hands the full piece over.
    fn hand_over(&mut self) {
        if matches!(self.state, State::Small) {
            self.state = self.started();
        }
        let State::Running(feed) = &self.state else {
            self.pending.clear();
            return;
        };
        let mut next = feed.empty.try_recv().unwrap_or_default();
        next.clear();
        let piece = std::mem::replace(&mut self.pending, next);
        if feed.full.send(piece).is_err() {
            let ended = std::mem::replace(&mut self.state, State::Idle);
            if let State::Running(Feed { thread, .. }) = ended
                && let Ok(Err(error)) = thread.join()
            {
                tracing::debug!(%error, "a layer is not compressed alongside");
            }
        }
    }

    fn started(&self) -> State {
        let Some(held) = self.permit.take() else {
            return State::Idle;
        };
        let (full, filled) = mpsc::sync_channel(N_AHEAD);
        let (emptied, empty) = mpsc::channel();
        let (store, recipe) = (Arc::clone(&self.store), self.recipe);
        let work = move || {
            let _held = held;
            form(&store, recipe, n_threads(), |out| {
                copy(&filled, &emptied, out)
            })
        };
        let named = std::thread::Builder::new().name("alongside".to_owned());
        match named.spawn(work) {
            Ok(thread) => State::Running(Feed {
                full,
                empty,
                thread,
            }),
            Err(error) => {
                tracing::debug!(%error, "a layer is not compressed alongside");
                State::Idle
            }
        }
    }
}

impl Write for Alongside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(self.state, State::Idle) {
            return Ok(bytes.len());
        }
        let n = bytes.len().min(PIECE - self.pending.len());
        self.pending.extend_from_slice(&bytes[..n]);
        if self.pending.len() == PIECE {
            self.hand_over();
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Feed {
    fn end(self, pending: Vec<u8>) -> Result<Fact, ImageError> {
        // Who does not listen any more has failed, and says so when it is waited for.
        if !pending.is_empty() {
            drop(self.full.send(pending));
        }
        drop(self.full.send(Vec::new()));
        self.thread.join().unwrap_or_else(|_| {
            let ended = io::Error::other("a thread that compresses has ended");
            Err(ImageError::io("compress")(ended))
        })
    }
}

fn form(
    store: &Store,
    recipe: Recipe,
    n_threads: usize,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Fact, ImageError> {
    let blob = store.blobs().writer()?;
    write_with(blob, recipe, n_threads, "a layer that is being made", fill)
}

fn copy(
    filled: &mpsc::Receiver<Vec<u8>>,
    emptied: &mpsc::Sender<Vec<u8>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for piece in filled {
        if piece.is_empty() {
            return Ok(());
        }
        out.write_all(&piece)?;
        // The other side may have come to its end and need no more.
        drop(emptied.send(piece));
    }
    Err(io::Error::other("the tar of the layer was not finished"))
}

#[cfg(test)]
mod tests {
    use acetate_oci::{Compression, Digest};
    use acetate_registry::NoProgress;

    use super::*;
    use crate::testing::{sample, store};
    use crate::{Force, ImageLayer, compress};

    const RECIPES: [Recipe; 3] = [
        Recipe::new(Compression::Gzip),
        Recipe::new(Compression::Zstd),
        Recipe::estargz(),
    ];

    fn plain(store: &Store, bytes: &[u8]) -> ImageLayer {
        let put = store.blobs().put(bytes).unwrap();
        let kind = acetate_oci::MediaType::OCI_LAYER;
        ImageLayer {
            descriptor: acetate_oci::Descriptor::new(kind, put.digest, put.size),
            diff_id: put.digest,
        }
    }

    /// A tar with one file of random size.
    fn tar(n: usize) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(n as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "file", &*sample(n)).unwrap();
        tar.into_inner().unwrap()
    }

    /// What is remembered of the form: none when the store would have to make it.
    fn known(store: &Store, layer: &ImageLayer, recipe: Recipe) -> Option<ImageLayer> {
        let gone = ImageLayer {
            descriptor: acetate_oci::Descriptor {
                digest: Digest::of(b"nowhere"),
                ..layer.descriptor.clone()
            },
            ..layer.clone()
        };
        compress(store, &gone, recipe, Force::Plain).ok()
    }

    #[test]
    fn the_form_is_the_one_that_the_whole_tar_gives() {
        for recipe in RECIPES {
            for size in [0, 1000, PIECE - 1536, 9 * PIECE + 77] {
                let (_dir, own) = store();
                let (_dir, other) = store();
                let bytes = tar(size);
                let mut alongside = Alongside::new(&own, recipe, &Permit::default());
                for piece in bytes.chunks(10_007) {
                    alongside.write_all(piece).unwrap();
                }
                let layer = plain(&other, &bytes);
                alongside.finish(&layer.descriptor, &NoProgress).unwrap();
                let expected = compress(&other, &layer, recipe, Force::Plain).unwrap();
                let made = known(&own, &layer, recipe);
                assert_eq!(made, Some(expected), "{size} bytes as {}", recipe.id());
            }
        }
    }

    #[test]
    fn nothing_is_remembered_of_a_tar_that_was_not_finished() {
        let (dir, store) = store();
        let bytes = tar(5 * PIECE);
        let layer = plain(&store, &bytes);
        let permit = Permit::default();
        let mut alongside = Alongside::new(&store, RECIPES[0], &permit);
        alongside.write_all(&bytes).unwrap();
        drop(alongside);
        // The thread ends by itself, and leaves neither a blob nor a file that is being written.
        while permit.0.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(known(&store, &layer, RECIPES[0]), None);
        let blobs = dir.path().join("store/blobs/sha256");
        let n_blobs = std::fs::read_dir(blobs).unwrap().count();
        assert_eq!(n_blobs, 1, "the plain tar");
    }

    #[test]
    fn one_large_layer_has_the_permit_and_small_ones_need_none() {
        let (_dir, store) = store();
        let permit = Permit::default();
        let make = |size: usize| (Alongside::new(&store, RECIPES[1], &permit), tar(size));
        let ((mut first, large), (mut second, other), (mut third, small)) =
            (make(3 * PIECE), make(4 * PIECE), make(100));
        first.write_all(&large).unwrap();
        second.write_all(&other).unwrap();
        third.write_all(&small).unwrap();
        for (alongside, bytes, is_made) in [
            (third, &small, true),
            (second, &other, false),
            (first, &large, true),
        ] {
            let layer = plain(&store, bytes);
            alongside.finish(&layer.descriptor, &NoProgress).unwrap();
            let made = known(&store, &layer, RECIPES[1]);
            assert_eq!(made.is_some(), is_made, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_layer_that_was_not_made_now_leaves_no_trace() {
        let (_dir, store) = store();
        let layer = plain(&store, &tar(100));
        let alongside = Alongside::new(&store, RECIPES[0], &Permit::default());
        alongside.finish(&layer.descriptor, &NoProgress).unwrap();
        assert_eq!(known(&store, &layer, RECIPES[0]), None);
    }
}
