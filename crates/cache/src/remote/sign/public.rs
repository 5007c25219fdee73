//! [`PublicKey`]: what signatures are checked with.

use std::fmt;

use acetate_oci::Digest;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::KeyFault;
use super::pem::{self, Half};

/// The header of an Ed25519 key in DER (`SubjectPublicKeyInfo`, RFC 8410), before its 32 bytes.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// How many bytes of the digest of a key are its id.
const ID_LEN: usize = 16;

/// The public half of an Ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads what `text` begins with, PEM or base64, and gives what is behind it.
    pub(super) fn parse(text: &str) -> Result<(Self, &str), KeyFault> {
        let (bytes, rest) = if pem::is_begin(text) {
            pem::block(text, Half::Public)?
        } else {
            let text = text.trim_start();
            let end = text.find(char::is_whitespace).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            (pem::decode(word).ok_or(KeyFault::Form)?, rest)
        };
        let raw = match bytes.strip_prefix(&SPKI) {
            Some(raw) => raw,
            None if bytes.len() == 32 => &bytes,
            None if pem::is_begin(text) => return Err(KeyFault::Algorithm),
            None => return Err(KeyFault::Form),
        };
        let raw = raw.try_into().map_err(|_| KeyFault::Algorithm)?;
        Ok((Self(raw), rest))
    }

    /// Its short name: 32 hexadecimal digits, the first 16 bytes of the SHA-256 of the key.
    pub fn id(&self) -> String {
        let mut id = Digest::of(&self.0).hex();
        id.truncate(2 * ID_LEN);
        id
    }

    /// Its bytes in base64, as lists of trusted keys hold them.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The same as PEM, for other tools.
    pub fn pem(&self) -> String {
        pem::write(Half::Public, &[SPKI.as_slice(), &self.0].concat())
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}
