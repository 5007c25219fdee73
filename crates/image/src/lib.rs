//! Images: found, fetched, compressed, assembled, exported and described.
//!
//! **Main types.** A [`Puller`] turns an [`ImageSource`] into a [`ResolvedImage`] and fetches its
//! layers; [`compress`] gives a layer another form; [`assemble`] makes an [`Image`]; an
//! [`Exporter`] writes images out; an [`ImageSummary`] describes one.
//!
//! **Invariants.** An [`Image`] is an immutable value: its documents are canonical JSON, its layers
//! are blobs of a store. Every byte from a registry or layout is checked against its digest and
//! size before it is used, and a layer also against its `diff_id` when it is read. Output depends
//! on the input only: not on threads, times or the order in which things finish. What an exporter
//! writes appears under its name when it is whole.
//!
//! **Not here.** Registries (`acetate-registry`), where blobs lie (`acetate-store`), layers as
//! directories (`acetate-snapshot`), signatures.

mod annotations;
mod assemble;
mod bundle;
mod choice;
mod compare;
mod compress;
mod docker_archive;
mod document;
mod error;
mod export;
mod flatten;
mod layer;
mod layout;
mod pipe;
mod puller;
mod resolved;
mod source;
mod summary;
mod tarball;
#[cfg(test)]
mod testing;

pub use annotations::{Annotation, AnnotationLevel, Annotations};
pub use assemble::{Image, Packaging, Style, assemble};
pub use bundle::{Bundle, Companion};
pub use compare::{Change, Comparison, EntryChange, LayerComparison, compare_layouts};
pub use compress::{
    Alongside, Force, FormOrigin, LevelError, Permit, Recipe, STARGZ_ANNOTATIONS, StoredForm,
    TypesError, compress, compress_all, pack,
};
pub use docker_archive::{ArchivedImage, read_docker_archive};
pub use error::ImageError;
pub use export::{
    Destination, DockerExporter, ExportError, ExportReport, Exporter, ExtraFile, LocalExporter,
    OciExporter, OciOutput, PlatformDirs, SavedImage, Stale, TarExporter, export_partial, save,
};
pub use layer::{ImageLayer, LayerReader, unpacked};
pub use puller::{BlobOrigin, Puller, WholeImage};
pub use resolved::ResolvedImage;
pub use source::{ImageSource, LayoutSource, SourceError};
pub use summary::{ImageSummary, LayerSummary};
