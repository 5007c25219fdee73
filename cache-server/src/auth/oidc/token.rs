use super::super::rule::Facts;
use super::Issuer;
use super::keys::Key;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A longer token is none: heads of requests end somewhere.
const MAX_LEN: usize = 16 << 10;
/// How far the clock of an issuer may be from ours, in seconds.
const LEEWAY: i64 = 30;
/// What people see of a subject.
const MAX_NAME: usize = 200;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no signed token")]
    Form,
    #[error("its algorithm is not taken: sign with RS256, ES256 or EdDSA")]
    Algorithm,
    #[error("it has no key id")]
    NoKey,
    #[error("its issuer {0:?} is not known")]
    Issuer(String),
    #[error("its issuer has no key {0:?} for its algorithm")]
    Key(String),
    #[error("its signature, issuer or audience is wrong: {0}")]
    Wrong(jsonwebtoken::errors::Error),
    #[error("it has expired, or does not say when it does")]
    Expired,
    #[error("it is not valid yet")]
    Early,
}

/// What a token says about itself before anything of it is believed: which key to look for.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: String,
    pub(super) issuer: String,
}

#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

/// A token that is believed.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) subject: String,
    pub(super) claims: Facts,
    /// From when on it is not believed any more, in seconds since 1970.
    pub(super) expires: i64,
}

impl Head {
    pub(super) fn read(token: &str) -> Result<Self, Refused> {
        if token.len() > MAX_LEN {
            return Err(Refused::Form);
        }
        // An algorithm that the library does not know, `none` first of all, is an error here.
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Form)?;
        if header.crit.is_some() {
            return Err(Refused::Form);
        }
        let is_taken = matches!(
            header.alg,
            Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA
        );
        if !is_taken {
            return Err(Refused::Algorithm);
        }
        let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Unverified>(token);
        Ok(Self {
            algorithm: header.alg,
            key_id: header.kid.ok_or(Refused::NoKey)?,
            issuer: claims.map_err(|_| Refused::Form)?.iss,
        })
    }
}

/// Checks signature, issuer, audience and time, and gives what the token says.
pub(super) fn verify(
    token: &str,
    key: &Key,
    issuer: &Issuer,
    now: i64,
) -> Result<Verified, Refused> {
    let mut rules = Validation::new(key.algorithm);
    rules.set_required_spec_claims(&["iss", "aud"]);
    rules.set_issuer(&[&issuer.issuer]);
    rules.set_audience(&issuer.audience);
    // Its clock cannot be set, so the times are compared below.
    rules.validate_exp = false;
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &rules);
    let claims = decoded.map_err(Refused::Wrong)?.claims;
    let expires = time(&claims, "exp").ok_or(Refused::Expired)?;
    let expires = expires.saturating_add(LEEWAY);
    if now >= expires {
        return Err(Refused::Expired);
    }
    if claims.contains_key("nbf") {
        let begins = time(&claims, "nbf").ok_or(Refused::Early)?;
        if now < begins.saturating_sub(LEEWAY) {
            return Err(Refused::Early);
        }
    }
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or("");
    Ok(Verified {
        subject: subject.chars().take(MAX_NAME).collect(),
        claims: facts(&claims),
        expires,
    })
}

/// A time in seconds, which may have a fraction (RFC 7519, 2).
#[expect(
    clippy::cast_possible_truncation,
    reason = "a time beyond all numbers is one beyond all times"
)]
fn time(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|secs| secs as i64))
}

/// The claims as text. Numbers and truths are written as JSON writes them; objects say nothing.
fn facts(claims: &Map<String, Value>) -> Facts {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let texts = |value: &Value| match value {
        Value::Array(values) => values.iter().filter_map(text).collect(),
        value => text(value).into_iter().collect(),
    };
    let claims = claims.iter();
    claims
        .map(|(name, value)| (name.clone(), texts(value)))
        .collect()
}
