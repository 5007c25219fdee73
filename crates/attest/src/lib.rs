//! Attestations: what a build says about its results, and how images carry it.
//!
//! **Main types.** [`Requested`] (what flags ask for), [`provenance::Facts`] (what the engine knows
//! of a build), [`Statement`] and [`Subject`] (in-toto), [`carry::Carried`] (the blobs and
//! descriptors that go beside an image), [`sbom::Tree`] and [`sbom::scan`] (the built-in scanner),
//! [`scanner::plan`] and [`scanner::collect`] (a scanner image), [`stages::scanned`].
//!
//! **Invariants.** No I/O, no async, no clock: times and files are given as values. Whatever is
//! written is canonical JSON, so that equal facts have equal digests. No secret value, and no user
//! of a URL, gets into a document. Nothing that a scanned file says makes this crate panic.
//!
//! **Not here.** Running a scanner image, reading snapshots, writing blobs (`acetate-engine`),
//! pushing them (`acetate-image`), and signatures.
//!
//! # From a build to what is pushed
//!
//! ```
//! use acetate_attest::provenance::{self, Facts};
//! use acetate_attest::{Requested, StatementVersion, Subject, carry};
//! use acetate_oci::{Descriptor, MediaType, Platform};
//!
//! // What the user typed.
//! let asked = Requested::parse(&[], Some("mode=min"), None)?;
//! let options = asked.provenance.expect("--provenance asks for it");
//!
//! // What the engine knows when the build is over.
//! let facts = Facts {
//!     config: provenance::ConfigSource { path: "Dockerfile".to_owned(), ..Default::default() },
//!     locals: vec!["context".to_owned(), "dockerfile".to_owned()],
//!     ..Facts::new("dockerfile.v0", Platform::new("linux", "amd64"))
//! };
//! let image = Descriptor::of(MediaType::OCI_MANIFEST, b"{}");
//! let name = "example.com/app:1".parse()?;
//! let subject = Subject::image(&name, Some(&Platform::new("linux", "amd64")), image.digest);
//! let statement = provenance::statement(&facts, &options, vec![subject]);
//!
//! // What goes beside the image: blobs to store, and an entry for the index.
//! let carried = carry::carry(&image, &[statement], carry::Form::Artifact);
//! assert_eq!(carried.blobs().count(), 3);
//! let entry = carried.index_entry();
//! assert_eq!(entry.annotations["vnd.docker.reference.type"], "attestation-manifest");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod attributes;
pub mod carry;
mod local;
pub mod provenance;
mod purl;
mod redact;
pub mod sbom;
pub mod scanner;
pub mod stages;
mod statement;

pub use attributes::{AttributeError, ProvenanceOptions, Requested, SbomOptions};
pub use local::file_name;
pub use purl::{image_purl, package_url};
pub use redact::redact;
pub use statement::{DigestSet, Statement, StatementVersion, Subject};
