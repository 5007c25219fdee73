//! The envelope of a signed record: DSSE, the Dead Simple Signing Envelope, version 1.

use super::SigningKey;

/// How the payload of a record is to be read. It is part of what is signed.
pub(in super::super) const PAYLOAD_TYPE: &str = "application/vnd.acetate.record.v2+protobuf";
/// More signatures than anybody needs; each costs the reader time.
pub(super) const MAX_SIGNATURES: usize = 8;

/// A payload with any number of signatures: `io.intoto.Envelope`, the protobuf form of DSSE.
///
/// An unsigned record is one without signatures.
#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct Envelope {
    #[prost(bytes = "vec", tag = "1")]
    pub(in super::super) payload: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(in super::super) payload_type: String,
    #[prost(message, repeated, tag = "3")]
    pub(in super::super) signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct Signature {
    #[prost(bytes = "vec", tag = "1")]
    pub(in super::super) sig: Vec<u8>,
    /// Which key to try. It is not signed, so nothing is decided by it.
    #[prost(string, tag = "2")]
    pub(in super::super) keyid: String,
}

impl Envelope {
    /// A record that nobody signed.
    pub(in super::super) fn unsigned(payload: Vec<u8>) -> Self {
        Self {
            payload,
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: Vec::new(),
        }
    }

    /// The same with one signature more.
    pub(in super::super) fn sign(mut self, key: &SigningKey) -> Self {
        let sig = key.sign(&self.signed());
        self.signatures.push(Signature {
            sig,
            keyid: key.public().id(),
        });
        self
    }

    /// The bytes that signatures are over.
    pub(super) fn signed(&self) -> Vec<u8> {
        pae(self.payload_type.as_bytes(), &self.payload)
    }
}

/// The pre-authentication encoding of DSSE: one text for each pair of a type and a body.
pub(super) fn pae(payload_type: &[u8], body: &[u8]) -> Vec<u8> {
    let (n_type, n_body) = (payload_type.len().to_string(), body.len().to_string());
    [
        b"DSSEv1",
        n_type.as_bytes(),
        payload_type,
        n_body.as_bytes(),
        body,
    ]
    .join(&b' ')
}
