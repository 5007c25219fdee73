//! What of a record is signed beside the result: where it belongs, and who says so.

use acetate_oci::Digest;
use prost::Message;

use super::Envelope;

/// The context of a signed record, a field of its payload.
///
/// The key that the record answers, and what the result is, are fields of the payload too; how it
/// is to be read is the type of the payload.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(in super::super) struct Statement {
    /// The namespace that the record was made for. A reader takes it from no other level.
    #[prost(string, tag = "1")]
    pub(in super::super) namespace: String,
    /// Who made it, as the signer wants to be called.
    #[prost(string, tag = "2")]
    pub(in super::super) builder: String,
    /// When it was signed, in seconds since 1970.
    #[prost(sint64, tag = "3")]
    pub(in super::super) time: i64,
}

/// What of a record is looked at before it is believed.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Sealed {
    /// The payload and its signatures.
    pub(in super::super) envelope: Envelope,
    /// Where the payload says that it belongs; unsigned records do not say it.
    pub(in super::super) statement: Option<Statement>,
}

/// The bytes of an envelope behind their own digest. The digest is no protection, but turns damage
/// into a miss, also of records that nobody signed.
pub(in super::super) fn seal(envelope: &Envelope) -> Vec<u8> {
    let bytes = envelope.encode_to_vec();
    [Digest::of(&bytes).as_bytes(), bytes.as_slice()].concat()
}

/// The envelope that [`seal`] closed; none where it is damaged.
pub(in super::super) fn unseal(value: &[u8]) -> Option<Envelope> {
    let (digest, bytes) = value.split_first_chunk::<32>()?;
    if Digest::of(bytes).as_bytes() != digest {
        return None;
    }
    Envelope::decode(bytes).ok()
}
