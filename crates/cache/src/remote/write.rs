//! Records that are written when all that they name is there.

use std::sync::Arc;

use acetate_cache_api::Kind;
use acetate_net::{Fetched, Method};
use acetate_oci::Digest;
use futures_util::{StreamExt, stream};

use super::action::action_key;
use super::client::{RemoteCache, Useless};
use super::codec::{MAX_BODY, encode, encode_signed, rewrap};
use super::detect::Level;
use super::lookup::Outcome;
use super::presence::MAX_REMARK;
use super::publish::{Attest, Existing, Publication, Put, Skip};
use super::record::{RemoteLayer, RemoteRecord};
use super::sign::{Policy, Statement};
use super::transport::{Effort, Fault};
use crate::KeyKind;

/// What may become of records that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// They stay, where the server can tell.
    Create,
    /// They are replaced.
    Replace,
    /// They are replaced where they are still not trusted.
    Overrule,
}

/// Under which condition a record is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// In any case.
    Always,
    /// When there is none.
    Absent,
    /// When the one that is there is still the one of this name.
    Same(String),
    /// Not at all: the one that is there stays.
    Never,
}

/// What is there under a key.
#[derive(Debug)]
enum There {
    Nothing,
    /// A record that could be used here.
    Good,
    /// One that could not, in the own namespace or above it.
    Useless {
        is_own: bool,
        etag: Option<String>,
    },
}

impl RemoteCache {
    pub(super) fn manner(&self, publication: &Publication) -> Manner {
        let actions = publication.keys.iter().map(action_key);
        let reasons: Vec<Useless> = actions
            .filter_map(|action| self.was_useless(&action))
            .collect();
        if publication.existing == Existing::Replace || reasons.contains(&Useless::Inferior) {
            return Manner::Replace;
        }
        if reasons.contains(&Useless::Untrusted) && self.overrules(publication) {
            return Manner::Overrule;
        }
        Manner::Create
    }

    /// Whether this client replaces records that it does not trust: its own are better for all who
    /// share its list of keys, and only then.
    pub(super) fn overrules(&self, publication: &Publication) -> bool {
        self.signs(publication) && self.0.trust.policy == Policy::Require
    }

    fn signs(&self, publication: &Publication) -> bool {
        publication.attest == Attest::Own && self.0.signer.is_some()
    }

    /// True when there is a record that could be used here.
    pub(super) async fn is_good(&self, action: &Digest) -> Result<bool, Fault> {
        Ok(matches!(self.there(action).await?, There::Good))
    }

    async fn there(&self, action: &Digest) -> Result<There, Fault> {
        let Some(body) = self.ask_one(action).await? else {
            return Ok(There::Nothing);
        };
        let own = self.0.transport.address.namespace.as_str();
        let is_own = body.namespace.as_deref().is_none_or(|found| found == own);
        let etag = body.etag.clone().filter(|etag| is_strong(etag));
        let (cache, key) = (self.clone(), *action);
        let understand = move || cache.understand(&key, Ok(Some(body)));
        let outcome = acetate_stdx::offload(understand).await;
        self.note(action, &outcome);
        Ok(match outcome {
            Outcome::Hit(_) => There::Good,
            _ => There::Useless { is_own, etag },
        })
    }

    /// Writes the record under each key; none when the server lacks something that it names.
    pub(super) async fn write_records(
        &self,
        publication: &Publication,
        layers: Vec<RemoteLayer>,
    ) -> Result<Option<Vec<Put>>, Skip> {
        let record = RemoteRecord {
            layers,
            duration_ms: publication.duration_ms,
            fidelity: publication.fidelity.clone(),
            made_of: publication.made_of.clone(),
        };
        let hint = RemoteRecord {
            layers: Vec::new(),
            made_of: Vec::new(),
            ..record.clone()
        };
        let (record, hint) = (Arc::new(record), Arc::new(hint));
        let manner = self.manner(publication);
        let writes: Vec<_> = publication
            .keys
            .iter()
            .map(|key| {
                let is_hint = key.kind() == KeyKind::Hint;
                let record = if is_hint { &hint } else { &record };
                self.write_record(publication, action_key(key), Arc::clone(record), manner)
            })
            .collect();
        let writes: Vec<_> = stream::iter(writes)
            .buffered(self.0.transport.limits.n_parallel)
            .collect()
            .await;
        writes.into_iter().collect()
    }

    async fn write_record(
        &self,
        publication: &Publication,
        action: Digest,
        record: Arc<RemoteRecord>,
        manner: Manner,
    ) -> Result<Option<Put>, Skip> {
        let transport = &self.0.transport;
        transport.check_writable()?;
        let condition = self.condition(publication, &action, manner).await?;
        if condition == Condition::Never {
            return Ok(Some(Put::Kept));
        }
        let body = self.body(publication, action, record).await;
        let size = body.len();
        if size > MAX_BODY {
            return Err(Skip::TooLarge);
        }
        let answer = self.put_record(&action, body, &condition).await?;
        match answer.status {
            200..=204 => {
                transport.count(|stats| stats.bytes_up += size as u64);
                Ok(Some(Put::Written))
            }
            412 => Ok(Some(Put::Kept)),
            409 => Ok(None),
            403 => Err(transport.read_only().into()),
            status => Err(Fault::Status(status).into()),
        }
    }

    async fn condition(
        &self,
        publication: &Publication,
        action: &Digest,
        manner: Manner,
    ) -> Result<Condition, Fault> {
        let can_keep =
            self.level().await? == Level::Batches || self.0.transport.backend.keeps_first();
        let absent = if can_keep {
            Condition::Absent
        } else {
            Condition::Always
        };
        if manner == Manner::Overrule {
            // What is there may be another record by now, one that is trusted among them.
            return Ok(match self.there(action).await? {
                There::Good => Condition::Never,
                There::Nothing | There::Useless { is_own: false, .. } => absent,
                There::Useless { etag, .. } => etag.map_or(Condition::Always, Condition::Same),
            });
        }
        let is_untrusted = self.was_useless(action) == Some(Useless::Untrusted);
        if is_untrusted && !self.overrules(publication) {
            // Others may trust it.
            return Ok(if can_keep {
                Condition::Absent
            } else {
                Condition::Never
            });
        }
        Ok(match manner {
            Manner::Replace => Condition::Always,
            Manner::Create | Manner::Overrule => absent,
        })
    }

    /// The record as it is kept, vouched for as the publication says.
    async fn body(
        &self,
        publication: &Publication,
        action: Digest,
        record: Arc<RemoteRecord>,
    ) -> Vec<u8> {
        let signer = self.0.signer.clone().filter(|_| self.signs(publication));
        let statement = Statement {
            namespace: self.0.transport.address.namespace.to_string(),
            builder: self.0.builder.clone(),
            time: self.now(),
        };
        let envelopes = match &publication.attest {
            Attest::Forward(envelopes) => envelopes.clone(),
            Attest::Own | Attest::No => Vec::new(),
        };
        // Hashing a large record, and in signing it twice more, is work.
        let write = move || {
            let forwarded = envelopes.iter().find_map(|envelope| {
                forwarded(&action, envelope, &record.layers, &statement.namespace)
            });
            match (forwarded, &signer) {
                (Some(body), _) => body,
                (None, Some(signer)) => encode_signed(&action, &record, statement, signer),
                (None, None) => encode(&action, &record),
            }
        };
        acetate_stdx::offload(write).await
    }

    async fn put_record(
        &self,
        action: &Digest,
        body: Vec<u8>,
        condition: &Condition,
    ) -> Result<Fetched, Fault> {
        let transport = &self.0.transport;
        let url = transport.address.join(&self.path(Kind::Action, action));
        let plain = transport.request(Method::Put, url).body(body);
        let request = match condition {
            Condition::Absent => plain.clone().header("if-none-match", "*"),
            Condition::Same(etag) => plain.clone().header("if-match", etag),
            Condition::Always | Condition::Never => plain.clone(),
        };
        let answer = transport
            .ask(&request, MAX_REMARK, Effort::Transfer)
            .await?;
        let is_unknown = answer.status == 501 && matches!(condition, Condition::Same(_));
        if !is_unknown {
            return Ok(answer);
        }
        // The server has no such condition: the time between the look and the write is short.
        transport.ask(&plain, MAX_REMARK, Effort::Transfer).await
    }
}

/// The body of a record that is given on as it came, where its signatures still hold: it answers
/// this key, belongs to this namespace, and names chunks that were just seen to be there.
fn forwarded(
    action: &Digest,
    envelope: &[u8],
    layers: &[RemoteLayer],
    namespace: &str,
) -> Option<Vec<u8>> {
    let rewrapped = rewrap(action, envelope).ok()?;
    let signed = &rewrapped.record.layers;
    let is_same = signed.len() == layers.len()
        && signed
            .iter()
            .zip(layers)
            .all(|(signed, here)| is_there(signed, here))
        && rewrapped
            .statement
            .is_some_and(|statement| statement.namespace == namespace);
    is_same.then_some(rewrapped.body)
}

/// True for a layer whose chunks, and whose listing if it names one, were just seen to be there.
fn is_there(signed: &RemoteLayer, here: &RemoteLayer) -> bool {
    let is_listed = signed.listing.is_empty() || signed.listing == here.listing;
    let unlisted = |layer: &RemoteLayer| RemoteLayer {
        listing: Vec::new(),
        ..layer.clone()
    };
    is_listed && unlisted(signed) == unlisted(here)
}

/// Only a strong name is one of the very bytes (RFC 9110, 8.8.1).
fn is_strong(etag: &str) -> bool {
    etag.starts_with('"')
}
