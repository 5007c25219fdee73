//! Records that are written when all that they name is there.

use acetate_cache_api::Kind;
use acetate_net::Method;
use futures_util::{StreamExt, stream};

use super::action::action_key;
use super::client::RemoteCache;
use super::codec::{MAX_BODY, encode};
use super::detect::Level;
use super::presence::MAX_REMARK;
use super::publish::{Publication, Put, Skip};
use super::record::{RemoteLayer, RemoteRecord};
use super::transport::{Effort, Fault};
use crate::{CacheKey, KeyKind};

impl RemoteCache {
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
        let keeps = self.may_stay(publication) && self.level().await? == Level::Batches;
        let writes: Vec<_> = publication
            .keys
            .iter()
            .map(|key| {
                let record = if key.kind() == KeyKind::Hint {
                    &hint
                } else {
                    &record
                };
                self.write_record(key, record, keeps)
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
        key: &CacheKey,
        record: &RemoteRecord,
        keeps: bool,
    ) -> Result<Option<Put>, Skip> {
        let transport = &self.0.transport;
        transport.check_writable()?;
        let action = action_key(key);
        let body = encode(&action, record);
        let size = body.len();
        if size > MAX_BODY {
            return Err(Skip::TooLarge);
        }
        let url = transport.address.join(&self.path(Kind::Action, &action));
        let mut request = transport.request(Method::Put, url).body(body);
        if keeps {
            request = request.header("if-none-match", "*");
        }
        let answer = transport
            .ask(&request, MAX_REMARK, Effort::Transfer)
            .await?;
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
}
