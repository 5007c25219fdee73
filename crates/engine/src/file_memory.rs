use acetate_files::{DigestMemory, Fingerprint};
use acetate_oci::Digest;
use acetate_store::{FactKey, Store};
use std::sync::Arc;

/// Remembers the digests of large files of contexts as facts of the store.
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
    fn recall(&self, files: &[Fingerprint]) -> Vec<Option<Digest>> {
        let keys: Vec<FactKey> = files.iter().map(key).collect();
        match self.store.index().facts(&keys) {
            Ok(facts) => facts
                .into_iter()
                .map(|fact| Digest::from_slice(fact.as_deref()?))
                .collect(),
            Err(error) => {
                tracing::debug!(%error, "digests of files are not known");
                vec![None; files.len()]
            }
        }
    }

    fn remember(&self, files: Vec<(Fingerprint, Digest)>) {
        let fact = |(file, digest): (Fingerprint, Digest)| (key(&file), digest.as_bytes().to_vec());
        self.store
            .index()
            .put_facts(files.into_iter().map(fact).collect());
    }
}

fn key(file: &Fingerprint) -> FactKey {
    FactKey::new("file-digest", &file.bytes())
}
