mod error;
mod provenance;
mod requested;
mod sbom;
mod words;

pub use error::AttributeError;
pub use provenance::ProvenanceOptions;
pub use requested::Requested;
pub use sbom::SbomOptions;
pub(crate) use words::parse_bool;
