//! Bytes of layers that come when a registry asks for them.

use super::fault::Fault;
use crate::blobs::{FetchError, is_pulled};
use crate::runner::StepRunner;
use acetate_image::{ImageLayer, Recipe};
use acetate_oci::{Compression, Digest};
use acetate_registry::BlobSource;
use acetate_snapshot::Layer;
use acetate_store::BlobReader;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::runtime::Handle;

/// The blob of a layer, wherever it is now.
#[derive(Clone)]
pub(super) struct LayerSource {
    pub(super) runner: Arc<StepRunner>,
    pub(super) handle: Handle,
    /// The blob that is sent.
    pub(super) digest: Digest,
    /// The layer that it is a form of, as the snapshot has it.
    pub(super) layer: Layer,
    /// The layer as it is uncompressed, and how it is compressed; none for blobs of images.
    pub(super) form: Option<(ImageLayer, Recipe)>,
    /// Where it is noted what is wrong with the blob.
    pub(super) fault: Fault,
}

impl std::fmt::Debug for LayerSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerSource({})", self.digest)
    }
}

impl BlobSource for LayerSource {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let brought = self.bring();
        let blob = brought.and_then(|()| Ok(self.runner.store.blobs().open(&self.digest)?))?;
        let blob = blob.ok_or_else(|| {
            self.fault.note_gone(self.layer.id());
            let words = format!("the blob `{}` is gone", self.digest);
            io::Error::new(io::ErrorKind::NotFound, words)
        })?;
        let mut blob = Noted {
            blob,
            fault: self.fault.clone(),
        };
        // Read and not skipped: damage is found by reading all of it.
        io::copy(&mut (&mut blob).take(offset), &mut io::sink())?;
        Ok(Box::new(blob))
    }
}

impl LayerSource {
    /// Sees to it that the store has the blob.
    fn bring(&self) -> io::Result<()> {
        let blobs = self.runner.store.blobs();
        if blobs.has(&self.digest)?.is_some() {
            return Ok(());
        }
        if let Some((plain, recipe)) = &self.form {
            let forms = &self.runner.forms;
            let wanted = forms.bring(
                std::slice::from_ref(plain),
                std::slice::from_ref(recipe),
                crate::shared::Tars::Unneeded,
            );
            self.handle.block_on(wanted);
            if blobs.has(&self.digest)?.is_some() {
                return Ok(());
            }
        }
        self.bring_layer()?;
        match &self.form {
            Some((plain, recipe)) if recipe.compression() != Compression::None => {
                let force = acetate_image::Force::Plain;
                let made = acetate_image::compress(&self.runner.store, plain, *recipe, force);
                made.map_err(io::Error::other).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Brings the layer as it is uncompressed: from where it was pulled, or out of its directory.
    fn bring_layer(&self) -> io::Result<()> {
        let brought = if is_pulled(&self.layer) {
            let fetch = self.runner.blobs.fetch(vec![self.layer.clone()]);
            self.handle.block_on(fetch)
        } else {
            let sealed = self.runner.snapshots.seal(&self.layer);
            sealed.map(drop).map_err(FetchError::from)
        };
        brought.map_err(|error| {
            if error.is_lost() {
                self.fault.note_gone(self.layer.id());
            }
            io::Error::other(crate::error::words(&error))
        })
    }
}

/// The bytes of a blob, whose damage is noted.
struct Noted {
    blob: BlobReader,
    fault: Fault,
}

impl Read for Noted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read(buffer);
        read.inspect_err(|error| self.fault.note(error))
    }
}
