use crate::hashing::DigestHasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The SHA-256 digest of some exact bytes, written `sha256:<64 hex digits>`.
///
/// It is made only by hashing or by parsing, so a `Digest` is always well formed.
/// Other algorithms of the OCI specification (`sha512`) are refused by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = DigestHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Takes the 32 raw bytes of a digest that was stored in binary form.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes raw bytes of any length; `None` unless there are exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// The 32 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lower-case hex digits, without the algorithm.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }

    /// Parses 64 lower-case hex digits, the form of file names in a blob store.
    pub fn from_hex(hex: &str) -> Result<Self, DigestParseError> {
        let bytes = hex.as_bytes();
        if bytes.len() != 64 {
            return Err(DigestParseError::Length { found: bytes.len() });
        }
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(out))
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn nibble(digit: u8) -> Result<u8, DigestParseError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestParseError::NotHex),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::from_hex(hex),
            Some((algorithm, _)) => Err(DigestParseError::Algorithm(algorithm.to_owned())),
            None => Err(DigestParseError::NoAlgorithm),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Says why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestParseError {
    /// There is no `sha256:` in front.
    #[error("digest has no algorithm, expected `sha256:<64 hex digits>`")]
    NoAlgorithm,
    /// The algorithm is not SHA-256.
    #[error("digest algorithm `{0}` is not supported, only `sha256` is")]
    Algorithm(String),
    /// The number of hex digits is wrong.
    #[error("digest has {found} hex digits, expected 64")]
    Length {
        /// How many there were.
        found: usize,
    },
    /// A character is not a lower-case hex digit.
    #[error("digest holds a character that is no lower-case hex digit")]
    NotHex,
}

/// Computes the ChainID of a stack of layers from their diff ids, bottom first.
///
/// `None` for an empty stack. See the OCI image specification, config.md, "Layer ChainID".
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    let (first, rest) = diff_ids.split_first()?;
    Some(rest.iter().fold(*first, |parent, diff| {
        Digest::of(format!("{parent} {diff}").as_bytes())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashes_and_prints_the_empty_string() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn refuses_what_is_no_digest() {
        assert_eq!("abc".parse::<Digest>(), Err(DigestParseError::NoAlgorithm));
        assert_eq!(
            "sha256:abc".parse::<Digest>(),
            Err(DigestParseError::Length { found: 3 })
        );
        assert_eq!(
            "sha512:abc".parse::<Digest>(),
            Err(DigestParseError::Algorithm("sha512".to_owned()))
        );
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        assert_eq!(upper.parse::<Digest>(), Err(DigestParseError::NotHex));
    }

    #[test]
    fn chain_of_one_is_its_diff_id_and_of_two_the_hash_of_both() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(chain_id(&[]), None);
        assert_eq!(chain_id(&[a]), Some(a));
        assert_eq!(
            chain_id(&[a, b]),
            Some(Digest::of(format!("{a} {b}").as_bytes()))
        );
        assert_ne!(chain_id(&[a, b]), chain_id(&[b, a]));
    }
}
