//! Which objects a server has, and sending it those that it lacks.

use std::collections::HashSet;

use acetate_cache_api::Kind;
use acetate_net::Method;
use acetate_oci::Digest;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::client::RemoteCache;
use super::detect::Level;
use super::lookup::json;
use super::transport::{Effort, Fault};

/// How many objects are asked about in one question.
const MAX_ASKED: usize = 10_000;
/// More than an answer about so many can be.
const MAX_ANSWER: u64 = 4 << 20;
/// More than a server has to say about an object that it took or not.
pub(super) const MAX_REMARK: u64 = 1 << 20;

/// An object by its digest and its size.
pub(super) type Named = (Digest, u64);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    blob_digests: Vec<AskedDigest>,
}

/// JSON of protobuf writes 64-bit numbers as text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AskedDigest {
    hash: String,
    size_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    missing_blob_digests: Vec<MissingDigest>,
}

#[derive(Deserialize)]
struct MissingDigest {
    hash: String,
}

impl RemoteCache {
    /// Those of the objects that the server lacks. What it has stays there for a while, so that a
    /// record can name it.
    pub(super) async fn missing(&self, objects: &[Named]) -> Result<HashSet<Digest>, Fault> {
        match self.level().await? {
            Level::Batches => self.missing_at_once(objects).await,
            Level::Objects => self.missing_one_by_one(objects).await,
        }
    }

    async fn missing_at_once(&self, objects: &[Named]) -> Result<HashSet<Digest>, Fault> {
        let transport = &self.0.transport;
        let mut missing = HashSet::new();
        for asked in objects.chunks(MAX_ASKED) {
            let question = Question {
                blob_digests: asked
                    .iter()
                    .map(|(digest, size)| AskedDigest {
                        hash: digest.hex(),
                        size_bytes: size.to_string(),
                    })
                    .collect(),
            };
            let url = transport.address.call("/v2", "blobs:findMissing");
            let request = json(transport.question(url), &question);
            let answer = transport.ask(&request, MAX_ANSWER, Effort::Hedged).await?;
            if answer.status != 200 {
                return Err(match answer.status {
                    403 => transport.unreadable(),
                    status => Fault::Status(status),
                });
            }
            let answer: Option<Answer> = serde_json::from_slice(&answer.body).ok();
            let digests = answer.and_then(|answer| {
                let all = answer.missing_blob_digests.iter();
                let all = all.map(|one| Digest::from_hex(&one.hash).ok());
                all.collect::<Option<Vec<Digest>>>()
            });
            let Some(digests) = digests else {
                return Err(transport.damaged("an answer that cannot be read"));
            };
            missing.extend(digests);
        }
        Ok(missing)
    }

    async fn missing_one_by_one(&self, objects: &[Named]) -> Result<HashSet<Digest>, Fault> {
        let transport = &self.0.transport;
        let asked: HashSet<Digest> = objects.iter().map(|(digest, _)| *digest).collect();
        let asked = asked.into_iter().filter(|object| !self.was_sent(object));
        let answers = asked.map(|object| async move {
            let url = transport.address.join(&self.path(Kind::Content, &object));
            let request = transport.request(Method::Head, url);
            let answer = transport.ask(&request, 0, Effort::Hedged).await?;
            Ok::<_, Fault>((answer.status != 200).then_some(object))
        });
        let answers = stream::iter(answers).buffer_unordered(transport.limits.n_parallel);
        answers
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    /// Sends one object; that it is there already is as good.
    pub(super) async fn send(&self, object: Digest, bytes: Vec<u8>) -> Result<(), Fault> {
        let transport = &self.0.transport;
        transport.check_writable()?;
        let size = bytes.len() as u64;
        let url = transport.address.join(&self.path(Kind::Content, &object));
        let request = transport.request(Method::Put, url);
        let request = request
            .header("content-type", "application/octet-stream")
            .body(bytes);
        let permit = self.0.uploads.acquire().await;
        let answer = transport
            .ask(&request, MAX_REMARK, Effort::Transfer)
            .await?;
        drop(permit);
        match answer.status {
            200..=204 => {
                transport.count(|stats| stats.bytes_up += size);
                self.sent(object);
                Ok(())
            }
            403 => Err(transport.read_only()),
            status => Err(Fault::Status(status)),
        }
    }
}
