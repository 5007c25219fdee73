use acetate_files::{DigestMemory, FileGroup};
use acetate_oci::Digest;
use acetate_store::{FactKey, Store};
use std::sync::Arc;

/// Remembers the digests of files of contexts as facts of the store.
#[derive(Debug)]
pub(crate) struct FileMemory {
    store: Arc<Store>,
}

impl FileMemory {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl DigestMemory for FileMemory {
    fn recall(&self, groups: &[FileGroup]) -> Vec<Option<Vec<Digest>>> {
        let keys: Vec<FactKey> = groups.iter().map(key).collect();
        match self.store.index().facts(&keys) {
            Ok(facts) => facts
                .into_iter()
                .map(|fact| digests(fact.as_deref()?))
                .collect(),
            Err(error) => {
                tracing::debug!(%error, "digests of files are not known");
                vec![None; groups.len()]
            }
        }
    }

    fn remember(&self, groups: Vec<(FileGroup, Vec<Digest>)>) {
        let fact = |(group, digests): (FileGroup, Vec<Digest>)| {
            let value = digests.iter().flat_map(Digest::as_bytes).copied();
            (key(&group), value.collect())
        };
        self.store
            .index()
            .put_facts(groups.into_iter().map(fact).collect());
    }
}

fn key(group: &FileGroup) -> FactKey {
    FactKey::new("file-digest", &group.bytes())
}

/// One digest a file; `None` when these bytes are something else.
fn digests(fact: &[u8]) -> Option<Vec<Digest>> {
    let (digests, []) = fact.as_chunks::<32>() else {
        return None;
    };
    Some(digests.iter().copied().map(Digest::from_bytes).collect())
}
