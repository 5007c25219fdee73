//! One question for all keys of a build.

use std::collections::HashMap;
use std::sync::Arc;

use acetate_cache_api::{Kind, Route};
use acetate_net::{Method, Request};
use acetate_oci::Digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::action::action_key;
use super::client::{RemoteCache, Useless};
use super::codec::{MAX_BODY, open};
use super::record::RemoteRecord;
use super::sign::{Distrust, Envelope, Found as Place};
use super::transport::{Effort, Fault};
use super::{Cause, Stats};
use crate::{CacheKey, Fidelity};

/// How many keys are asked for in one question.
const MAX_KEYS: usize = 10_000;
/// What bodies of 4 MiB are at most in base64, and room for what is around them.
const MAX_ANSWER: u64 = 16 << 20;
/// A server leaves bodies out of an answer that is full. Only where so much came already are the
/// keys behind the last answered one asked for again: what would not fit in the rest of a smaller
/// answer is a record of nearly 4 MiB, and then a miss.
const NEARLY_FULL: usize = 1 << 20;
/// The header and the field that name where a record was found.
const NAMESPACE: &str = "x-acetate-namespace";

/// A record of a shared cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteHit {
    /// The result.
    pub record: RemoteRecord,
    /// The namespace that it was found in, own or above, where the server says it.
    pub namespace: Option<String>,
    /// The id of the trusted key that signed it; none where nobody did or nobody looked.
    pub signer: Option<String>,
    /// The envelope of a signed record as it came, to be given on by [`super::Attest::Forward`].
    pub envelope: Option<Arc<[u8]>>,
}

/// A body that was found, still to be understood.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) namespace: Option<String>,
    /// What names this version of the record, where the server gives it such a name.
    pub(super) etag: Option<String>,
}

/// How one key was answered.
pub(super) type Reply = Result<Option<Body>, Fault>;
pub(super) type Replies = HashMap<Digest, Reply>;

#[derive(Serialize)]
struct Question {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    key: String,
    #[serde(default)]
    namespace: Option<String>,
    body: String,
}

impl RemoteCache {
    /// Asks for all keys at once; for each the record, or nothing.
    ///
    /// It takes no longer than the limit for look-ups; what is not answered until then is a miss.
    pub async fn lookup(&self, keys: &[CacheKey]) -> Vec<Option<RemoteHit>> {
        let actions: Vec<Digest> = keys.iter().map(action_key).collect();
        let mut unique = actions.clone();
        unique.sort_unstable();
        unique.dedup();
        let decoded = self.decide(&unique).await;
        self.0.transport.count(|stats| {
            for action in &unique {
                decoded.get(action).unwrap_or(&Outcome::Late).count(stats);
            }
        });
        hits(&actions, &decoded)
    }

    /// The same without counting: for what is no result of a step.
    pub(super) async fn peek(&self, keys: &[CacheKey]) -> Vec<Option<RemoteHit>> {
        let actions: Vec<Digest> = keys.iter().map(action_key).collect();
        let mut unique = actions.clone();
        unique.sort_unstable();
        unique.dedup();
        hits(&actions, &self.decide(&unique).await)
    }

    /// Asks for all these actions, and decides what each answer is worth.
    async fn decide(&self, unique: &[Digest]) -> HashMap<Digest, Outcome> {
        if unique.is_empty() {
            return HashMap::new();
        }
        let replies = self.replies(unique).await;
        let cache = self.clone();
        // Records of long chains are large, and a build has many.
        let decoded = acetate_stdx::offload(move || {
            let decoded = replies.into_iter().map(|(action, reply)| {
                let outcome = cache.understand(&action, reply);
                (action, outcome)
            });
            decoded.collect::<HashMap<Digest, Outcome>>()
        });
        let decoded = decoded.await;
        // In order, since of all that is not trusted one is told.
        for action in unique {
            if let Some(outcome) = decoded.get(action) {
                self.note(action, outcome);
            }
        }
        decoded
    }

    /// Remembers, and warns of, a record that is there and of no use.
    pub(super) fn note(&self, action: &Digest, outcome: &Outcome) {
        match outcome {
            Outcome::Damaged => {
                self.0.transport.damaged("a record that cannot be read");
                self.note_useless(*action, Useless::Inferior);
            }
            Outcome::Reduced => self.note_useless(*action, Useless::Inferior),
            Outcome::Untrusted(why) => {
                self.0.transport.untrusted(why);
                self.note_useless(*action, Useless::Untrusted);
            }
            _ => {}
        }
    }

    pub(super) async fn replies(&self, actions: &[Digest]) -> Replies {
        let end = Instant::now() + self.0.transport.limits.lookup;
        let mut replies = Replies::new();
        let extends = match timeout_at(end, self.may_extend()).await {
            Ok(Ok(extends)) => extends,
            Ok(Err(fault)) => return actions.iter().map(|a| (*a, Err(fault))).collect(),
            Err(_) => return replies,
        };
        let mut left = actions;
        while extends && !left.is_empty() {
            let Ok(answered) = timeout_at(end, self.ask_batch(left, &mut replies)).await else {
                return replies;
            };
            match answered {
                Some(n) => left = &left[n..],
                None => break,
            }
        }
        let transport = &self.0.transport;
        // Collected, since a stream that holds a closure over references is not `Send` in general.
        let questions: Vec<_> = left
            .iter()
            .map(|action| async move { (*action, self.ask_one(action).await) })
            .collect();
        let mut questions = stream::iter(questions).buffer_unordered(transport.limits.n_parallel);
        while let Ok(Some((action, reply))) = timeout_at(end, questions.next()).await {
            replies.insert(action, reply);
        }
        replies
    }

    /// Asks for many keys in one question and gives how many are answered now; none when the server
    /// has no such question.
    async fn ask_batch(&self, actions: &[Digest], replies: &mut Replies) -> Option<usize> {
        let asked = &actions[..actions.len().min(MAX_KEYS)];
        let mut found = match self.batch(asked).await {
            Ok(Some(found)) => found,
            Ok(None) => return None,
            Err(fault) => {
                replies.extend(asked.iter().map(|action| (*action, Err(fault))));
                return Some(asked.len());
            }
        };
        let n_bytes: usize = found.values().map(|body| body.bytes.len()).sum();
        let last = asked.iter().rposition(|action| found.contains_key(action));
        let n_answered = match last {
            Some(last) if n_bytes >= NEARLY_FULL => last + 1,
            _ => asked.len(),
        };
        let answered = &asked[..n_answered];
        replies.extend(answered.iter().map(|a| (*a, Ok(found.remove(a)))));
        Some(n_answered)
    }

    async fn batch(&self, actions: &[Digest]) -> Result<Option<HashMap<Digest, Body>>, Fault> {
        let transport = &self.0.transport;
        let question = Question {
            keys: actions.iter().map(Digest::hex).collect(),
        };
        let url = transport.address.call("/x/v1", "ac:batchGet");
        let request = json(transport.question(url), &question);
        let answer = transport.ask(&request, MAX_ANSWER, Effort::Hedged).await?;
        match answer.status {
            200 => {}
            403 => return Err(transport.unreadable()),
            status if self.is_extension(status) => return Err(Fault::Status(status)),
            _ => return Ok(None),
        }
        let read = acetate_stdx::offload(move || {
            let answer: Answer = serde_json::from_slice(&answer.body).ok()?;
            let found = answer.records.into_iter().map(|found| {
                let body = Body {
                    bytes: STANDARD.decode(&found.body).ok()?,
                    namespace: found.namespace,
                    etag: None,
                };
                Some((Digest::from_hex(&found.key).ok()?, body))
            });
            found.collect::<Option<HashMap<Digest, Body>>>()
        });
        match read.await {
            Some(found) => Ok(Some(found)),
            None => Err(transport.damaged("an answer that cannot be read")),
        }
    }

    pub(super) async fn ask_one(&self, action: &Digest) -> Reply {
        let transport = &self.0.transport;
        let url = transport.address.join(&self.path(Kind::Action, action));
        let request = transport.request(Method::Get, url);
        let answer = transport
            .ask(&request, MAX_BODY as u64, Effort::Hedged)
            .await?;
        match answer.status {
            200 => Ok(Some(Body {
                namespace: answer.headers.get(NAMESPACE).map(str::to_owned),
                etag: answer.headers.get("etag").map(str::to_owned),
                bytes: answer.body,
            })),
            404 | 410 => Ok(None),
            403 => Err(transport.unreadable()),
            status => Err(Fault::Status(status)),
        }
    }

    pub(super) fn path(&self, kind: Kind, key: &Digest) -> String {
        Route {
            namespace: self.0.transport.address.namespace.clone(),
            kind,
            key: *key,
        }
        .path()
    }
}

fn hits(actions: &[Digest], decoded: &HashMap<Digest, Outcome>) -> Vec<Option<RemoteHit>> {
    let hits = actions.iter().map(|action| match decoded.get(action) {
        Some(Outcome::Hit(hit)) => Some(hit.clone()),
        _ => None,
    });
    hits.collect()
}

/// A request with a body of JSON. What is sent here always has one.
pub(super) fn json(request: Request, value: &impl Serialize) -> Request {
    let body = serde_json::to_vec(value).unwrap_or_default();
    request
        .header("content-type", "application/json")
        .body(body)
}

/// What became of one key.
#[derive(Debug)]
pub(super) enum Outcome {
    Hit(RemoteHit),
    Miss,
    Damaged,
    Reduced,
    Untrusted(Distrust),
    NotAsked,
    Late,
    Error,
}

impl RemoteCache {
    /// Decides what an answer is worth. Nothing that a record names is asked for before.
    pub(super) fn understand(&self, action: &Digest, reply: Reply) -> Outcome {
        let body = match reply {
            Ok(Some(body)) => body,
            Ok(None) => return Outcome::Miss,
            Err(Fault::NotAsked) => return Outcome::NotAsked,
            Err(Fault::Timeout) => return Outcome::Late,
            Err(Fault::Cause(Cause::Damaged)) => return Outcome::Damaged,
            Err(Fault::Cause(_) | Fault::Status(_)) => return Outcome::Error,
        };
        let opened = match open(action, &body.bytes) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(key = %action, %error, "a shared record cannot be read");
                return Outcome::Damaged;
            }
        };
        let place = Place {
            own: &self.0.transport.address.namespace,
            claimed: body.namespace.as_deref(),
            now: self.now(),
        };
        let signer = match self.0.trust.admit(&opened.sealed, place) {
            Ok(signer) => signer.map(|signer| signer.id),
            Err(why) => {
                tracing::debug!(key = %action, %why, "a shared record is not trusted");
                return Outcome::Untrusted(why);
            }
        };
        if opened.record.fidelity != Fidelity::Full && !self.0.takes_reduced {
            return Outcome::Reduced;
        }
        Outcome::Hit(RemoteHit {
            record: opened.record,
            namespace: body.namespace,
            signer,
            envelope: given_on(&opened.sealed.envelope),
        })
    }
}

/// The bytes of an envelope that are worth to be given on: unsigned ones anybody can make.
fn given_on(envelope: &Envelope) -> Option<Arc<[u8]>> {
    let is_signed = !envelope.signatures.is_empty();
    is_signed.then(|| envelope.encode_to_vec().into())
}

impl Outcome {
    fn count(&self, stats: &mut Stats) {
        let counter = match self {
            Self::Hit(hit) => {
                stats.saved_ms = stats.saved_ms.saturating_add(hit.record.duration_ms);
                &mut stats.hits
            }
            Self::Miss => &mut stats.misses,
            Self::Damaged => &mut stats.damaged,
            Self::Reduced => &mut stats.reduced,
            Self::Untrusted(_) => &mut stats.untrusted,
            Self::NotAsked => &mut stats.not_asked,
            Self::Late => &mut stats.timeouts,
            Self::Error => &mut stats.errors,
        };
        *counter += 1;
    }
}
