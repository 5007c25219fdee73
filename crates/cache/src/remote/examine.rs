//! Whether what a cache keeps is what it should be: records, their signatures, and all they name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use acetate_oci::Digest;

use super::action::action_key;
use super::client::RemoteCache;
use super::codec::{DecodeError, Opened, open};
use super::lookup::Reply;
use super::presence::Named;
use super::record::{LayerForm, RemoteLayer, RemoteRecord};
use super::sign::{Distrust, Found, Policy, Signer};
use super::transport::Fault;
use super::upload::stored_name;
use crate::CacheKey;

/// How many records are looked at together: that bounds memory.
const BATCH: usize = 128;

/// How closely a cache is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything is there.
    Presence,
    /// Whether everything is there and has the bytes that it should have: all of it is fetched.
    Bytes,
}

/// What was found in a cache, asked by keys of builds or by those of the cache itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<K = CacheKey> {
    /// Keys that were asked for, each once.
    pub n_keys: u64,
    /// Records that came.
    pub n_records: u64,
    /// Records with a good signature, by the id of the key.
    pub signed: BTreeMap<String, u64>,
    /// Records without a signature.
    pub n_unsigned: u64,
    /// Records that only keys signed that are not in the list.
    pub n_unknown: u64,
    /// Objects that the records name, each once: chunks and trees.
    pub n_objects: u64,
    /// Those of them that are not there.
    pub n_missing: u64,
    /// Layers whose bytes were fetched and are right, each once.
    pub n_layers: u64,
    /// What is wrong, in the order of the keys.
    pub flaws: Vec<(K, Flaw)>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self {
            n_keys: 0,
            n_records: 0,
            signed: BTreeMap::new(),
            n_unsigned: 0,
            n_unknown: 0,
            n_objects: 0,
            n_missing: 0,
            n_layers: 0,
            flaws: Vec::new(),
        }
    }
}

/// A record as a cache gave it, whether or not it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it says.
    pub record: RemoteRecord,
    /// The namespace that it was found in, where the server says it.
    pub namespace: Option<String>,
    /// Who signed it, or why nobody is known to have.
    pub signer: Result<Signer, Distrust>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// There is none.
    #[error("there is no record")]
    Absent,
    /// The cache gave no answer that says anything about it.
    #[error("the cache did not answer")]
    Unanswered,
    /// It cannot be read.
    #[error("the record cannot be read: {0}")]
    Record(DecodeError),
    /// It is signed wrongly, or not at all where that is required.
    #[error("the record is not trusted: {0}")]
    Distrust(Distrust),
    /// Objects that it names are not there.
    #[error("{0} objects that it names are missing")]
    Incomplete(u64),
    /// A layer did not come, or is another one.
    #[error("the layer {layer} is not to be had: {why}")]
    Layer {
        /// Its diff id.
        layer: Digest,
        /// Why not.
        why: String,
    },
}

/// What is remembered from one batch to the next, so that what records share is looked at once.
#[derive(Default)]
struct Known {
    /// Objects, and whether they are there.
    objects: HashMap<Digest, bool>,
    /// Layers by the digest of their tree, and what is wrong with them.
    layers: HashMap<Digest, Option<String>>,
}

impl RemoteCache {
    /// Looks at the records of all keys: their form, their signatures by the list of trusted keys,
    /// and everything that they name. It takes as long as it takes.
    ///
    /// A missing signature is a flaw only where the policy requires one; a wrong one always is.
    pub async fn examine(&self, keys: &[CacheKey], depth: Depth) -> Tally {
        let named: Vec<(CacheKey, Digest)> =
            keys.iter().map(|key| (*key, action_key(key))).collect();
        self.examine_all(&named, depth).await
    }

    /// The same for keys as the cache itself lists them, see [`RemoteCache::records`].
    pub async fn examine_listed(&self, keys: &[Digest], depth: Depth) -> Tally<Digest> {
        let named: Vec<(Digest, Digest)> = keys.iter().map(|key| (*key, *key)).collect();
        self.examine_all(&named, depth).await
    }

    /// Reads the record under a key as the cache itself lists it, trusted or not.
    ///
    /// # Errors
    /// Why there is nothing to be read.
    pub async fn see(&self, key: &Digest) -> Result<Seen, Flaw> {
        let reply = self.replies(&[*key]).await.remove(key);
        let body = reply.unwrap_or(Err(Fault::Timeout));
        let body = body.map_err(|_| Flaw::Unanswered)?.ok_or(Flaw::Absent)?;
        let opened = open(key, &body.bytes).map_err(Flaw::Record)?;
        let found = Found {
            own: &self.0.transport.address.namespace,
            claimed: body.namespace.as_deref(),
            now: self.now(),
        };
        let signer = self.0.trust.verify(&opened.sealed, found);
        Ok(Seen {
            record: opened.record,
            namespace: body.namespace,
            signer,
        })
    }

    async fn examine_all<K: Copy>(&self, keys: &[(K, Digest)], depth: Depth) -> Tally<K> {
        // What was sent earlier is asked about like everything else.
        self.forget_sent();
        let mut once = HashSet::new();
        let keys = keys.iter().copied();
        let keys: Vec<(K, Digest)> = keys.filter(|(_, action)| once.insert(*action)).collect();
        let mut tally = Tally {
            n_keys: keys.len() as u64,
            ..Tally::default()
        };
        let mut known = Known::default();
        for batch in keys.chunks(BATCH) {
            self.examine_batch(batch, depth, &mut known, &mut tally)
                .await;
        }
        tally.n_objects = known.objects.len() as u64;
        tally.n_missing = known
            .objects
            .values()
            .filter(|is_there| !**is_there)
            .count() as u64;
        let good = known.layers.values().filter(|fault| fault.is_none());
        tally.n_layers = good.count() as u64;
        tally
    }

    async fn examine_batch<K: Copy>(
        &self,
        keys: &[(K, Digest)],
        depth: Depth,
        seen: &mut Known,
        tally: &mut Tally<K>,
    ) {
        let mut actions: Vec<Digest> = keys.iter().map(|(_, action)| *action).collect();
        actions.sort_unstable();
        let mut replies = self.replies(&actions).await;
        for (key, action) in keys {
            let reply = replies.remove(action).unwrap_or(Err(Fault::Timeout));
            if let Err(flaw) = self.examine_one(action, reply, depth, seen, tally).await {
                tally.flaws.push((*key, flaw));
            }
        }
    }

    async fn examine_one<K>(
        &self,
        action: &Digest,
        reply: Reply,
        depth: Depth,
        seen: &mut Known,
        tally: &mut Tally<K>,
    ) -> Result<(), Flaw> {
        let body = reply.map_err(|_| Flaw::Unanswered)?.ok_or(Flaw::Absent)?;
        tally.n_records += 1;
        let opened = open(action, &body.bytes).map_err(Flaw::Record)?;
        self.verify_signature(&opened, body.namespace.as_deref(), tally)?;
        let layers = &opened.record.layers;
        self.look_for(layers, seen)
            .await
            .map_err(|_| Flaw::Unanswered)?;
        let named = layers.iter().flat_map(objects);
        let n_missing = named
            .filter(|(object, _)| seen.objects.get(object) == Some(&false))
            .count();
        if n_missing > 0 {
            return Err(Flaw::Incomplete(n_missing as u64));
        }
        if depth == Depth::Bytes {
            for layer in layers {
                self.examine_layer(layer, seen).await?;
            }
        }
        Ok(())
    }

    fn verify_signature<K>(
        &self,
        opened: &Opened,
        claimed: Option<&str>,
        tally: &mut Tally<K>,
    ) -> Result<(), Flaw> {
        let found = Found {
            own: &self.0.transport.address.namespace,
            claimed,
            now: self.now(),
        };
        let trust = &self.0.trust;
        let is_required = trust.policy == Policy::Require;
        let distrust = match trust.verify(&opened.sealed, found) {
            Ok(Signer { id, .. }) => {
                *tally.signed.entry(id).or_default() += 1;
                return Ok(());
            }
            Err(distrust) => distrust,
        };
        let counter = match distrust {
            Distrust::Unsigned => &mut tally.n_unsigned,
            Distrust::UnknownKey => &mut tally.n_unknown,
            wrong => return Err(Flaw::Distrust(wrong)),
        };
        *counter += 1;
        if is_required {
            return Err(Flaw::Distrust(distrust));
        }
        Ok(())
    }

    /// Asks for those objects of layers that were not asked for yet.
    async fn look_for(&self, layers: &[RemoteLayer], seen: &mut Known) -> Result<(), Fault> {
        let named: BTreeMap<Digest, u64> = layers
            .iter()
            .flat_map(objects)
            .filter(|(object, _)| !seen.objects.contains_key(object))
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let named: Vec<Named> = named.into_iter().collect();
        let missing = self.missing(&named).await?;
        let found = named
            .iter()
            .map(|(object, _)| (*object, !missing.contains(object)));
        seen.objects.extend(found);
        Ok(())
    }

    /// Fetches a layer to nowhere, which hashes every chunk and the whole.
    async fn examine_layer(&self, layer: &RemoteLayer, seen: &mut Known) -> Result<(), Flaw> {
        if matches!(layer.form, LayerForm::Blob(_)) {
            return Ok(());
        }
        let name = Digest::of(&[layer.diff_id.as_bytes(), layer.tree().as_slice()].concat());
        let fault = if let Some(known) = seen.layers.get(&name) {
            known.clone()
        } else {
            let fetched = self.fetch_layer(layer, io::sink(), |_| None).await;
            let fault = fetched.err().map(|lost| lost.to_string());
            seen.layers.insert(name, fault.clone());
            fault
        };
        match fault {
            None => Ok(()),
            Some(why) => Err(Flaw::Layer {
                layer: layer.diff_id,
                why,
            }),
        }
    }
}

/// The objects that a layer needs: its chunks, the tree that names them, and its listing.
fn objects(layer: &RemoteLayer) -> Vec<Named> {
    let mut objects: Vec<Named> = layer.chunks().iter().map(stored_name).collect();
    if !objects.is_empty() {
        let tree = layer.tree();
        objects.push((Digest::of(&tree), tree.len() as u64));
    }
    objects.extend(layer.listing.iter().map(stored_name));
    objects
}
