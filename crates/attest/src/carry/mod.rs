//! How an image carries its attestations: one more manifest, in the index or as a referrer.
//!
//! BuildKit's `docs/attestations/attestation-storage.md` is the form in the index; the
//! distribution specification is that of referrers.

mod carried;
mod index;

pub use carried::{Blob, Carried, Form, carry};
pub use index::{add_referrer, attest_index, referrers_tag};

/// The annotation that says what kind of manifest an entry of an index is.
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The annotation that says which manifest an attestation is about.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// The value of [`REFERENCE_TYPE`] for attestations.
pub const ATTESTATION_MANIFEST: &str = "attestation-manifest";
/// The annotation that says what a statement says, so that others need not be read.
pub const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// The media type of a statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The artifact type of an attestation manifest.
pub const ARTIFACT_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// The media type of a config that is `{}`.
pub const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
