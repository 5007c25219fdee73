//! Private values as bytes: the only place that uses bincode.
//!
//! The encoding serves records that this program wrote into its own index, never keys, never the
//! wire and never bytes of another party. A header of magic, version, length and checksum stands in
//! front, so that a foreign, older or damaged value is told apart before it is decoded; whoever meets
//! one drops the record.

use acetate_oci::Digest;
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest payload in bytes; it also bounds what a decoder allocates.
pub const LIMIT: u64 = 4 << 20;

const MAGIC: [u8; 4] = *b"actr";
const N_HEADER: usize = 4 + 2 + 4 + 8;

/// Why bytes are no value; each of them means "drop it".
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The header is cut short or foreign.
    #[error("a record without a known header")]
    Header,
    /// Another version of this program wrote it.
    #[error("a record of version {found}, expected {expected}")]
    Version {
        /// The version found.
        found: u16,
        /// The version asked for.
        expected: u16,
    },
    /// Length or checksum do not fit the payload.
    #[error("a damaged record")]
    Damaged,
    /// The payload does not decode, or the value does not fit the limit.
    #[error("a record that does not decode: {0}")]
    Payload(#[source] bincode::Error),
}

/// Encodes `value` under `version`.
pub fn encode<T: Serialize>(version: u16, value: &T) -> Result<Vec<u8>, CodecError> {
    let payload = options().serialize(value).map_err(CodecError::Payload)?;
    let n_payload = u32::try_from(payload.len()).map_err(|_| CodecError::Damaged)?;
    let mut bytes = Vec::with_capacity(N_HEADER + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&n_payload.to_le_bytes());
    bytes.extend_from_slice(&checksum(&payload));
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

/// Decodes a value that [`encode`] wrote under the same `version`.
pub fn decode<T: DeserializeOwned>(version: u16, bytes: &[u8]) -> Result<T, CodecError> {
    let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(CodecError::Header)?;
    let (found, rest) = rest.split_first_chunk::<2>().ok_or(CodecError::Header)?;
    let (n_payload, rest) = rest.split_first_chunk::<4>().ok_or(CodecError::Header)?;
    let (sum, payload) = rest.split_first_chunk::<8>().ok_or(CodecError::Header)?;
    if *magic != MAGIC {
        return Err(CodecError::Header);
    }
    let found = u16::from_le_bytes(*found);
    if found != version {
        return Err(CodecError::Version {
            found,
            expected: version,
        });
    }
    let fits = usize::try_from(u32::from_le_bytes(*n_payload)) == Ok(payload.len());
    if !fits || *sum != checksum(payload) {
        return Err(CodecError::Damaged);
    }
    options().deserialize(payload).map_err(CodecError::Payload)
}

fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_limit(LIMIT)
        .reject_trailing_bytes()
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let digest = Digest::of(payload);
    *digest
        .as_bytes()
        .first_chunk()
        .expect("a digest has more than eight bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Value = (u64, Vec<u8>, Option<i64>);

    #[test]
    fn foreign_headers_and_versions_are_told_apart() {
        let bytes = encode(3, &7_u64).unwrap();
        assert_eq!(decode::<u64>(3, &bytes).unwrap(), 7);
        let other = decode::<u64>(4, &bytes);
        assert!(matches!(
            other,
            Err(CodecError::Version {
                found: 3,
                expected: 4
            })
        ));
        assert!(matches!(decode::<u64>(3, b"act"), Err(CodecError::Header)));
        assert!(matches!(
            decode::<u64>(3, &[0; 40]),
            Err(CodecError::Header)
        ));
        assert!(matches!(
            decode::<u32>(3, &bytes),
            Err(CodecError::Payload(_))
        ));
    }

    #[test]
    fn too_large_values_do_not_encode() {
        let large = vec![0_u8; usize::try_from(LIMIT).unwrap()];
        assert!(matches!(encode(1, &large), Err(CodecError::Payload(_))));
    }

    proptest! {
        #[test]
        fn round_trip(value: Value) {
            prop_assert_eq!(decode::<Value>(1, &encode(1, &value).unwrap()).unwrap(), value);
        }

        #[test]
        fn any_flipped_bit_is_an_error(value: Value, at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = encode(1, &value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode::<Value>(1, &bytes).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            prop_assert!(decode::<Value>(1, &bytes).is_err());
        }
    }
}
