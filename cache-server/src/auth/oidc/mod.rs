//! Tokens that CI systems sign (`OpenID` Connect): who is believed, and what their claims allow.
//!
//! A token is believed when its issuer is one of ours, spelt exactly so, a key of that issuer signed
//! it with the one algorithm of that key, it was made for us, and its time is now. Which algorithm a
//! token says it has decides nothing: keys for it are looked for, and secrets are no keys here.
//! Keys are kept while the issuer does not answer.

mod keys;
mod source;
mod token;

use super::rule::OneOrMany;
use super::{Grant, Rule};
use acetate_oci::Digest;
use acetate_stdx::clock::Clock;
use serde::Deserialize;
use source::KeySource;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use token::Refused;

/// Somebody who signs tokens, and what those allow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "IssuerText")]
pub struct Issuer {
    /// Its name, which is also the address under which it describes itself.
    pub issuer: String,
    /// For whom tokens must be made: one of these.
    pub audience: Vec<String>,
    /// Where its keys are; none when its description says it.
    pub jwks: Option<String>,
    /// What claims allow.
    pub rules: Vec<Rule>,
}

/// Why an issuer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Tokens for anybody else would be taken.
    #[error("`{0}` has no audience: tokens that were made for somebody else would be taken")]
    NoAudience(String),
    /// An address is none, or one that others can answer for.
    #[error("`{0}` is no https address (http is for loopback only)")]
    Address(String),
    /// Its tokens would allow nothing.
    #[error("`{0}` has no rule: its tokens would allow nothing")]
    NoRule(String),
}

/// An issuer as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerText {
    issuer: String,
    audience: OneOrMany,
    jwks: Option<String>,
    #[serde(default)]
    rule: Vec<Rule>,
}

impl TryFrom<IssuerText> for Issuer {
    type Error = IssuerError;

    fn try_from(text: IssuerText) -> Result<Self, IssuerError> {
        let audience = Vec::from(text.audience);
        if audience.iter().all(String::is_empty) {
            return Err(IssuerError::NoAudience(text.issuer));
        }
        if text.rule.is_empty() {
            return Err(IssuerError::NoRule(text.issuer));
        }
        for address in text.jwks.iter().chain([&text.issuer]) {
            source::check(address).ok_or_else(|| IssuerError::Address(address.clone()))?;
        }
        Ok(Self {
            issuer: text.issuer,
            audience,
            jwks: text.jwks,
            rules: text.rule,
        })
    }
}

/// Tokens are verified again after so many seconds, so that a key that was withdrawn ends them.
const FRESH_SECS: i64 = 60;
/// Tokens that are remembered, more than a fleet has machines.
const MOST: usize = 10_000;
/// How often the keys are fetched without a reason.
const EVERY: Duration = Duration::from_secs(600);

/// All issuers, and the tokens of theirs that were verified a moment ago.
#[derive(Debug)]
pub(super) struct Issuers {
    all: Vec<(Issuer, KeySource)>,
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<Digest, Seen>>,
    /// When it was last told that one was refused.
    told: AtomicI64,
}

#[derive(Debug)]
struct Seen {
    grant: Arc<Grant>,
    until: i64,
}

impl Issuers {
    pub(super) fn new(issuers: Vec<Issuer>, clock: Arc<dyn Clock>) -> Self {
        let with_source = |issuer: Issuer| {
            let source = KeySource::new(&issuer, Arc::clone(&clock));
            (issuer, source)
        };
        Self {
            all: issuers.into_iter().map(with_source).collect(),
            clock: Arc::clone(&clock),
            seen: Mutex::default(),
            told: AtomicI64::new(0),
        }
    }

    /// What a token allows; none when it is not believed, and the log says why.
    pub(super) async fn grant(&self, token: &str) -> Option<Arc<Grant>> {
        if self.all.is_empty() {
            return None;
        }
        let name = Digest::of(token.as_bytes());
        let now = self.clock.now().0;
        if let Some(grant) = self.known(&name, now) {
            return Some(grant);
        }
        match self.verify(token, now).await {
            Ok((grant, expires)) => {
                let until = expires.min(now.saturating_add(FRESH_SECS));
                self.remember(name, Arc::clone(&grant), now, until);
                Some(grant)
            }
            Err(refused) => {
                // One line a second says enough, and nobody can fill the disk with them.
                if self.told.swap(now, Ordering::Relaxed) != now {
                    tracing::info!(reason = %refused, "a token was refused");
                }
                None
            }
        }
    }

    fn known(&self, name: &Digest, now: i64) -> Option<Arc<Grant>> {
        let seen = self.lock();
        let known = seen.get(name).filter(|seen| now < seen.until)?;
        Some(Arc::clone(&known.grant))
    }

    async fn verify(&self, token: &str, now: i64) -> Result<(Arc<Grant>, i64), Refused> {
        let head = token::Head::read(token)?;
        let known = self
            .all
            .iter()
            .find(|(known, _)| known.issuer == head.issuer);
        let (issuer, source) = known.ok_or_else(|| Refused::Issuer(head.issuer.clone()))?;
        let key = source.find(&head.key_id, head.algorithm).await;
        let key = key.ok_or_else(|| Refused::Key(head.key_id.clone()))?;
        let verified = token::verify(token, &key, issuer, now)?;
        let rules = issuer.rules.iter();
        let grant = Grant {
            name: format!("oidc:{}", verified.subject),
            scopes: rules
                .flat_map(|rule| rule.scopes(&verified.claims))
                .collect(),
        };
        Ok((Arc::new(grant), verified.expires))
    }

    fn remember(&self, name: Digest, grant: Arc<Grant>, now: i64, until: i64) {
        let mut seen = self.lock();
        if seen.len() >= MOST {
            seen.retain(|_, seen| now < seen.until);
        }
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(name, Seen { grant, until });
    }

    /// Fetches all keys now and then.
    pub(super) async fn keep_fresh(&self) {
        while !self.all.is_empty() {
            for (_, source) in &self.all {
                source.refresh().await;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
