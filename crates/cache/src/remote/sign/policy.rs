//! Whose results are taken.

use std::sync::Arc;

use acetate_cache_api::Namespace;
use acetate_oci::Timestamp;

use super::dsse::MAX_SIGNATURES;
use super::{Sealed, Statement, TrustedKey, TrustedKeys};

/// Which records are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// All; signatures are not looked at.
    #[default]
    Off,
    /// Those that a listed key signed, and those that no listed key claims to have signed.
    ///
    /// It tells who made what and finds damage and mistakes. It is no protection from a server that
    /// lies: that can leave signatures out.
    Prefer,
    /// Those that a listed key signed.
    Require,
}

/// A policy and the keys that it is about.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Which records are taken.
    pub policy: Policy,
    /// Whose signatures count.
    pub keys: Arc<TrustedKeys>,
}

/// Who signed a record, as a signature that was checked says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The short name of the key, see [`super::PublicKey::id`].
    pub id: String,
    /// What the list of trusted keys calls it.
    pub name: Option<String>,
    /// Who made the record, as the owner of the key wants to be called.
    pub builder: String,
    /// When it was signed, by the clock of the owner.
    pub time: Timestamp,
}

/// Why a record is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It has no signature.
    #[error("nobody signed it")]
    Unsigned,
    /// None of the keys that it names is in the list.
    #[error("no key of the list signed it")]
    UnknownKey,
    /// It names a key of the list, and is not what that key signed.
    #[error("the signature of the key `{0}` is wrong")]
    Wrong(String),
    /// It has more signatures than are looked at.
    #[error("it has more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// It is signed, but does not say for which namespace.
    #[error("it does not say where it belongs")]
    Nowhere,
    /// It was signed for another namespace than the one that it came from.
    #[error("it was signed for the namespace `{signed}` and came from `{found}`")]
    Namespace {
        /// For which.
        signed: String,
        /// From which.
        found: String,
    },
    /// The server says that it comes from a namespace that was not asked.
    #[error("the cache took it from a namespace that was not asked for")]
    Elsewhere,
    /// The key is not taken yet, or was not when the record was signed.
    #[error("the key `{0}` was not valid yet")]
    NotYetValid(String),
    /// The key is not taken any more, or was not when the record was signed.
    #[error("the key `{0}` is not valid any more")]
    Expired(String),
}

/// Where and when a record was found.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Found<'a> {
    /// The namespace that was asked.
    pub(in super::super) own: &'a Namespace,
    /// The one that the server says it comes from, own or above.
    pub(in super::super) claimed: Option<&'a str>,
    /// Seconds since 1970.
    pub(in super::super) now: i64,
}

impl Trust {
    /// Takes all records.
    pub fn off() -> Self {
        Self::default()
    }

    /// Takes what the keys signed, and what none of them claims to have signed.
    pub fn prefer(keys: TrustedKeys) -> Self {
        Self {
            policy: Policy::Prefer,
            keys: Arc::new(keys),
        }
    }

    /// Takes what the keys signed.
    pub fn require(keys: TrustedKeys) -> Self {
        Self {
            policy: Policy::Require,
            keys: Arc::new(keys),
        }
    }

    /// Decides whether a record may be used, and says who signed it where that is known.
    pub(in super::super) fn admit(
        &self,
        sealed: &Sealed,
        found: Found<'_>,
    ) -> Result<Option<Signer>, Distrust> {
        if self.policy == Policy::Off {
            return Ok(None);
        }
        match self.verify(sealed, found) {
            Ok(signer) => Ok(Some(signer)),
            // Whoever wants such a record taken need only leave the signature out, so that to
            // refuse it would protect from nothing, and make every change of keys a cold start.
            Err(Distrust::Unsigned | Distrust::UnknownKey) if self.policy == Policy::Prefer => {
                Ok(None)
            }
            Err(distrust) => Err(distrust),
        }
    }

    /// Checks the signatures, whatever the policy is: one that is good is enough.
    pub(in super::super) fn verify(
        &self,
        sealed: &Sealed,
        found: Found<'_>,
    ) -> Result<Signer, Distrust> {
        let signatures = &sealed.envelope.signatures;
        if signatures.is_empty() {
            return Err(Distrust::Unsigned);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(Distrust::TooMany);
        }
        let message = sealed.envelope.signed();
        let mut reason = Distrust::UnknownKey;
        for signature in signatures {
            // Each try hashes the whole record, so that only the key that is named is tried.
            let Some(key) = self.keys.find(&signature.keyid) else {
                continue;
            };
            let checked = if key.key.verifies(&message, &signature.sig) {
                judge(key, sealed.statement.as_ref(), found)
            } else {
                Err(Distrust::Wrong(key.key.id()))
            };
            match checked {
                Ok(signer) => return Ok(signer),
                Err(distrust) => reason = distrust,
            }
        }
        Err(reason)
    }
}

impl Found<'_> {
    /// The level that a record was read from. The word of a server counts only among the levels
    /// that were asked: else it could give a record of anybody who may sign for anything.
    fn level(&self) -> Result<Namespace, Distrust> {
        let Some(claimed) = self.claimed else {
            return Ok(self.own.clone());
        };
        let level = claimed.parse::<Namespace>();
        let level = level.ok().filter(|level| self.own.is_within(level));
        level.ok_or(Distrust::Elsewhere)
    }
}

/// Whether what a key signed is about this place and this time.
fn judge(
    key: &TrustedKey,
    statement: Option<&Statement>,
    found: Found<'_>,
) -> Result<Signer, Distrust> {
    let statement = statement.ok_or(Distrust::Nowhere)?;
    let level = found.level()?;
    if statement.namespace != level.as_str() {
        return Err(Distrust::Namespace {
            signed: statement.namespace.clone(),
            found: level.to_string(),
        });
    }
    // Now as well as then: whoever has stolen a key writes any time into what it signs.
    for time in [statement.time, found.now] {
        if key.validity.is_before(time) {
            return Err(Distrust::NotYetValid(key.key.id()));
        }
        if key.validity.is_over(time) {
            return Err(Distrust::Expired(key.key.id()));
        }
    }
    Ok(Signer {
        id: key.key.id(),
        name: key.name.clone(),
        builder: statement.builder.clone(),
        time: Timestamp::from_secs(statement.time),
    })
}
