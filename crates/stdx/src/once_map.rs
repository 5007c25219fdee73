//! Asynchronous work that happens once per key, whoever asks.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::OnceCell;

/// Maps keys to values that are computed at most once at a time.
///
/// The first task that asks for a key computes its value; tasks that ask meanwhile wait for it.
/// When the computing task is cancelled or fails, the next waiter computes instead, so nobody waits
/// for work that has died.
pub struct OnceMap<K, V> {
    cells: DashMap<K, Arc<OnceCell<V>>>,
}

impl<K: Eq + Hash + Clone, V: Clone> OnceMap<K, V> {
    /// Returns an empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the value of `key`, computing it with `work` when nobody has done so.
    pub async fn get_or_init<F: Future<Output = V>>(&self, key: &K, work: impl FnOnce() -> F) -> V {
        self.cell(key).get_or_init(work).await.clone()
    }

    /// Returns the value of `key`, computing it with `work` when nobody has done so.
    ///
    /// An error goes to the task that computed and is not kept.
    pub async fn get_or_try_init<E, F: Future<Output = Result<V, E>>>(
        &self,
        key: &K,
        work: impl FnOnce() -> F,
    ) -> Result<V, E> {
        self.cell(key).get_or_try_init(work).await.cloned()
    }

    /// Returns the value of `key` when it is there already.
    pub fn get(&self, key: &K) -> Option<V> {
        self.cells.get(key)?.get().cloned()
    }

    /// Forgets `key`; the next request computes again.
    pub fn remove(&self, key: &K) -> Option<V> {
        self.cells.remove(key)?.1.get().cloned()
    }

    fn cell(&self, key: &K) -> Arc<OnceCell<V>> {
        // The shard's guard must end here: it may not live over an await.
        if let Some(cell) = self.cells.get(key) {
            return Arc::clone(&cell);
        }
        Arc::clone(&self.cells.entry(key.clone()).or_default())
    }
}

impl<K: Eq + Hash, V> Default for OnceMap<K, V> {
    fn default() -> Self {
        Self {
            cells: DashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V> fmt::Debug for OnceMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceMap")
            .field("n_keys", &self.cells.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_askers_one_computation() {
        let map = Arc::new(OnceMap::new());
        let n_runs = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (map, n_runs) = (Arc::clone(&map), Arc::clone(&n_runs));
            tasks.spawn(async move {
                map.get_or_init(&"key", || async {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    n_runs.fetch_add(1, Ordering::SeqCst)
                })
                .await
            });
        }
        let values = tasks.join_all().await;
        assert!(values.iter().all(|value| *value == 0));
        assert_eq!(n_runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_takes_over_from_a_cancelled_task() {
        let map: Arc<OnceMap<u8, u8>> = Arc::new(OnceMap::new());
        let first = {
            let map = Arc::clone(&map);
            tokio::spawn(async move { map.get_or_init(&1, std::future::pending).await })
        };
        tokio::task::yield_now().await;
        let second = {
            let map = Arc::clone(&map);
            tokio::spawn(async move { map.get_or_init(&1, || async { 7 }).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.unwrap(), 7);
        assert_eq!(map.get(&1), Some(7));
    }

    #[tokio::test]
    async fn errors_are_not_kept() {
        let map: OnceMap<u8, u8> = OnceMap::new();
        assert_eq!(
            map.get_or_try_init(&1, || async { Err("no") }).await,
            Err("no")
        );
        assert_eq!(map.get(&1), None);
        assert_eq!(
            map.get_or_try_init(&1, || async { Ok::<_, ()>(3) }).await,
            Ok(3)
        );
        assert_eq!(map.remove(&1), Some(3));
        assert_eq!(map.get(&1), None);
    }
}
