//! Sends images: blobs first, then what names them, tags last.

mod image;
mod session;
mod source;
mod upload;

pub use self::image::{Push, PushBlob, PushManifest, PushReport};
pub use self::source::{BlobSource, FileSource, MemorySource};
pub use self::upload::Pushed;
