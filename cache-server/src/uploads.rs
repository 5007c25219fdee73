use crate::Limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open uploads of each token, so that one of them cannot take all the room.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: Arc<Mutex<HashMap<String, Open>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Open {
    n: usize,
    bytes: u64,
}

/// An upload that counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Claimed {
    open: Arc<Mutex<HashMap<String, Open>>>,
    who: String,
    bytes: u64,
}

impl Uploads {
    /// Counts an upload; none when the token has too many already.
    pub(crate) fn claim(&self, who: &str, bytes: u64, limits: &Limits) -> Option<Claimed> {
        let mut open = lock(&self.open);
        let own = open.entry(who.to_owned()).or_default();
        // One upload is always let through: its size is checked against the room that there is.
        let fits = own.n == 0
            || own.n < limits.uploads && own.bytes.saturating_add(bytes) <= limits.upload_bytes;
        if !fits {
            return None;
        }
        own.n += 1;
        own.bytes = own.bytes.saturating_add(bytes);
        Some(Claimed {
            open: Arc::clone(&self.open),
            who: who.to_owned(),
            bytes,
        })
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        let Some(own) = open.get_mut(&self.who) else {
            return;
        };
        own.n -= 1;
        own.bytes = own.bytes.saturating_sub(self.bytes);
        if own.n == 0 {
            open.remove(&self.who);
        }
    }
}

fn lock(open: &Mutex<HashMap<String, Open>>) -> MutexGuard<'_, HashMap<String, Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_own_room() {
        let limits = Limits {
            uploads: 2,
            upload_bytes: 100,
            ..Limits::default()
        };
        let uploads = Uploads::default();
        let first = uploads.claim("a", 60, &limits).unwrap();
        assert!(uploads.claim("a", 41, &limits).is_none());
        assert!(uploads.claim("b", 100, &limits).is_some());
        let second = uploads.claim("a", 40, &limits).unwrap();
        assert!(uploads.claim("a", 0, &limits).is_none());
        drop((first, second));
        assert!(uploads.claim("a", 1000, &limits).is_some());
        assert!(lock(&uploads.open).is_empty());
    }
}
