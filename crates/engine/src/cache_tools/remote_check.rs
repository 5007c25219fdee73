//! Whether what a shared cache keeps is what it should be, looked at from here.

use super::server::CacheServer;
use crate::BuildError;
use acetate_cache::remote::{DecodeError, Depth, Flaw};
use acetate_oci::Digest;
use std::collections::BTreeMap;

/// What was found in a shared cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteCheck {
    /// Records that came and are ours.
    pub records: u64,
    /// Results of other programs, which are not looked at.
    pub foreign: u64,
    /// Records with a good signature, by the id of the key.
    pub signed: BTreeMap<String, u64>,
    /// Records without a signature.
    pub unsigned: u64,
    /// Records that only keys signed that are not in the list.
    pub unknown: u64,
    /// Objects that the records of each namespace name.
    pub objects: u64,
    /// Those of them that are not there.
    pub missing: u64,
    /// Layers whose bytes were fetched and are right.
    pub layers: u64,
    /// What is wrong, by namespace and key.
    pub flaws: Vec<(String, Digest, Flaw)>,
}

impl CacheServer<'_> {
    /// Looks at all records that the server lists: their form, their signatures, and what they name.
    pub async fn check(&self, depth: Depth) -> Result<RemoteCheck, BuildError> {
        let mut namespaces: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
        for record in self.list().await? {
            let keys = namespaces.entry(record.namespace).or_default();
            keys.push(record.key);
        }
        let mut check = RemoteCheck::default();
        for (namespace, keys) in namespaces {
            let remote = self.at(&namespace).await?;
            let tally = remote.examine_listed(&keys, depth).await;
            check.records += tally.n_records;
            for (id, n) in tally.signed {
                *check.signed.entry(id).or_default() += n;
            }
            check.unsigned += tally.n_unsigned;
            check.unknown += tally.n_unknown;
            check.objects += tally.n_objects;
            check.missing += tally.n_missing;
            check.layers += tally.n_layers;
            for (key, flaw) in tally.flaws {
                if flaw == Flaw::Record(DecodeError::Foreign) {
                    check.foreign += 1;
                    check.records -= 1;
                } else {
                    check.flaws.push((namespace.clone(), key, flaw));
                }
            }
        }
        Ok(check)
    }
}
