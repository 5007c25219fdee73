use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all bodies of one direction hold together, as long as there are not too many of them.
const TOGETHER: usize = 16 << 20;
/// A smaller piece costs more calls than it saves memory.
const LEAST: usize = 32 << 10;
/// A larger piece is no faster.
const MOST: usize = 512 << 10;

/// How many bodies move in one direction, so that each holds only its share of memory.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    n: Arc<AtomicUsize>,
}

/// One body on its way.
#[derive(Debug)]
pub(crate) struct Share {
    n: Arc<AtomicUsize>,
}

impl Flow {
    pub(crate) fn enter(&self) -> Share {
        self.n.fetch_add(1, Ordering::Relaxed);
        Share {
            n: Arc::clone(&self.n),
        }
    }

    /// How many there are.
    #[cfg(test)]
    fn n(&self) -> usize {
        self.n.load(Ordering::Relaxed)
    }
}

impl Share {
    /// How many bytes to move at a time.
    pub(crate) fn piece(&self) -> usize {
        piece(self.n.load(Ordering::Relaxed))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.n.fetch_sub(1, Ordering::Relaxed);
    }
}

fn piece(n: usize) -> usize {
    (TOGETHER / n.max(1)).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_bodies_take_small_pieces() {
        assert_eq!(
            [0, 1, 32, 64, 100_000].map(piece),
            [MOST, MOST, MOST, 256 << 10, LEAST]
        );
        let flow = Flow::default();
        let share = flow.enter();
        assert_eq!((flow.n(), share.piece()), (1, MOST));
        drop(share);
        assert_eq!(flow.n(), 0);
    }
}
