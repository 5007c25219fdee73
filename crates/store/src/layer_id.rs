//! Names of layers.

use std::fmt;
use std::str::FromStr;

use acetate_oci::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a layer in one store, and the name of its directory.
///
/// `n<32 hex>` is a random local name, given at commit, before the content is hashed.
/// `c<64 hex>` is the `ChainID` of a layer that was applied against its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerId {
    /// A layer made here and named at random.
    Local([u8; 16]),
    /// A layer known by its `ChainID`.
    Chain(Digest),
}

impl LayerId {
    /// Draws a new local name from the kernel's random numbers.
    pub fn random() -> Self {
        Self::Local(random_bytes())
    }

    /// The compact form used in the index: a tag and the raw bytes.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Local(bytes) => [&[LOCAL], &bytes[..]].concat(),
            Self::Chain(digest) => [&[CHAIN], &digest.as_bytes()[..]].concat(),
        }
    }

    /// Reads one id in compact form and returns what follows it.
    pub(crate) fn split_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        match bytes.split_first()? {
            (&LOCAL, rest) => {
                let (id, rest) = rest.split_first_chunk::<16>()?;
                Some((Self::Local(*id), rest))
            }
            (&CHAIN, rest) => {
                let (id, rest) = rest.split_first_chunk::<32>()?;
                Some((Self::Chain(Digest::from_bytes(*id)), rest))
            }
            _ => None,
        }
    }
}

const LOCAL: u8 = b'n';
const CHAIN: u8 = b'c';

/// Draws bytes from the kernel.
pub(crate) fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives sixteen random bytes at once");
    bytes
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(bytes) => {
                f.write_str("n")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Chain(digest) => write!(f, "c{}", digest.hex()),
        }
    }
}

/// A text that names no layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no layer name")]
pub struct LayerIdParseError(String);

impl FromStr for LayerId {
    type Err = LayerIdParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| LayerIdParseError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<LayerId> {
    if let Some(hex) = text.strip_prefix('c') {
        return Digest::from_hex(hex).ok().map(LayerId::Chain);
    }
    let hex = text.strip_prefix('n')?;
    // A digest's parser knows the one spelling of hex; pad to its length.
    let padded = Digest::from_hex(&format!("{hex}{:032}", 0)).ok()?;
    let (head, _) = padded.as_bytes().split_first_chunk::<16>()?;
    Some(LayerId::Local(*head))
}

impl Serialize for LayerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LayerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_survive_text_and_bytes() {
        for id in [LayerId::random(), LayerId::Chain(Digest::of(b"x"))] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let bytes = [id.to_bytes(), vec![9]].concat();
            assert_eq!(LayerId::split_bytes(&bytes), Some((id, &[9][..])));
        }
        assert_ne!(LayerId::random(), LayerId::random());
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "n".to_owned() + &"0".repeat(64);
        for text in [
            "",
            "n",
            "nxyz",
            "c00",
            "m00",
            "../etc",
            &long,
            &"n".repeat(33),
        ] {
            assert!(text.parse::<LayerId>().is_err(), "{text}");
        }
        assert_eq!(LayerId::split_bytes(&[b'n', 1, 2]), None);
        assert_eq!(LayerId::split_bytes(&[0; 40]), None);
    }
}
