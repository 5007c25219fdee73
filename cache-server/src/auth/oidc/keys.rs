use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::fmt;

/// More keys than any issuer has at a time.
const MOST: usize = 100;

/// A public key and the one algorithm that it is for.
#[derive(Clone)]
pub(super) struct Key {
    id: String,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// Reads a set of keys (RFC 7517). What is not for signing, or of another kind, is left out;
    /// none when it is no such set, or nothing is left.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let set: Set = serde_json::from_slice(body).ok()?;
        let keys = set.keys.into_iter().take(MOST);
        // One strange key must not hide the others.
        let keys: Vec<Key> = keys
            .filter_map(|value| serde_json::from_value(value).ok())
            .filter_map(|jwk: Jwk| Key::of(&jwk))
            .collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn find(&self, id: &str, algorithm: Algorithm) -> Option<Key> {
        let is_it = |key: &&Key| key.id == id && key.algorithm == algorithm;
        self.0.iter().find(is_it).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            // Secrets, above all: whoever can read a set of keys could sign with them.
            _ => return None,
        };
        let common = &jwk.common;
        let is_meant = common.key_algorithm.is_none_or(|one| one == named)
            && common
                .public_key_use
                .as_ref()
                .is_none_or(|one| *one == PublicKeyUse::Signature)
            && common
                .key_operations
                .as_ref()
                .is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_meant {
            return None;
        }
        Some(Self {
            id: common.key_id.clone()?,
            algorithm,
            decoding: DecodingKey::from_jwk(jwk).ok()?,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public keys of RFC 8037 (A.2) and RFC 7517 (A.1).
    const SET: &str = r#"{"keys": [
        {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"EC","crv":"P-256","kid":"ec","use":"sig","alg":"ES256",
         "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty":"EC","crv":"P-256","kid":"enc","use":"enc",
         "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty":"oct","kid":"secret","k":"c2VjcmV0"},
        {"kty":"RSA","kid":"rsa","n":"AQAB","e":"AQAB","alg":"RS256"},
        {"kty":"RSA","kid":"pss","n":"AQAB","e":"AQAB","alg":"PS256"},
        {"kty":"RSA","n":"AQAB","e":"AQAB"},
        {"kty":"new","kid":"strange"},
        "no key"
    ]}"#;

    #[test]
    fn only_keys_for_signing_are_taken() {
        let keys = Keys::parse(SET.as_bytes()).unwrap();
        let ids: Vec<&str> = keys.0.iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, ["ed", "ec", "rsa"]);
        assert!(keys.find("ec", Algorithm::ES256).is_some());
        assert!(keys.find("ec", Algorithm::RS256).is_none());
        assert!(keys.find("secret", Algorithm::HS256).is_none());
        for body in [
            "",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"c2"}]}"#,
        ] {
            assert!(Keys::parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
