use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts with a lock each, told by the key: every answer notes a use, from all threads at once.
const SHARDS: usize = 32;

/// Objects that were used since the uses were last written down.
#[derive(Debug, Default)]
pub(super) struct Touched {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    content: HashSet<Digest>,
    records: HashMap<Namespace, HashSet<Digest>>,
}

impl Touched {
    /// Notes a use.
    pub(super) fn note(&self, route: &Route) {
        let mut shard = self.shard(&route.key);
        match route.kind {
            Kind::Content => {
                shard.content.insert(route.key);
            }
            Kind::Action => {
                if let Some(keys) = shard.records.get_mut(&route.namespace) {
                    keys.insert(route.key);
                } else {
                    let keys = HashSet::from([route.key]);
                    shard.records.insert(route.namespace.clone(), keys);
                }
            }
        }
    }

    /// Takes all that was noted.
    pub(super) fn take(&self) -> Vec<(Namespace, Kind, Digest)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = std::mem::take(&mut *lock(shard));
            let content = shard.content.into_iter();
            all.extend(content.map(|key| (Namespace::root(), Kind::Content, key)));
            for (namespace, keys) in shard.records {
                let keys = keys.into_iter();
                all.extend(keys.map(|key| (namespace.clone(), Kind::Action, key)));
            }
        }
        all
    }

    fn shard(&self, key: &Digest) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.as_bytes()[0]) % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_noted_once_and_taken_once() {
        let touched = Touched::default();
        let key = Digest::of(b"k");
        for _ in 0..3 {
            for (namespace, kind) in [
                ("a", Kind::Action),
                ("b", Kind::Action),
                ("b", Kind::Content),
            ] {
                let namespace = namespace.parse().unwrap();
                touched.note(&Route {
                    namespace,
                    kind,
                    key,
                });
            }
        }
        let mut all = touched.take();
        all.sort_by_key(|(namespace, ..)| namespace.clone());
        let expected = [
            ("", Kind::Content),
            ("a", Kind::Action),
            ("b", Kind::Action),
        ];
        let expected = expected.map(|(namespace, kind)| (namespace.parse().unwrap(), kind, key));
        assert_eq!(all, expected);
        assert!(touched.take().is_empty());
    }
}
