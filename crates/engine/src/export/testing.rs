//! Requests for tests.

use crate::{BuildRequest, ContextInput, ImageOptions, OutputSpec, Place};

/// A build with these outputs.
pub(super) fn request(outputs: Vec<OutputSpec>) -> BuildRequest {
    BuildRequest {
        outputs,
        ..BuildRequest::new(ContextInput::Directory(".".into()))
    }
}

/// Whether the image is kept under these names.
pub(super) fn kept_here(names: &[&str], keep: bool) -> OutputSpec {
    let options = ImageOptions {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..ImageOptions::default()
    };
    let place = Place {
        keep,
        push: None,
        dangling: None,
        canonical: false,
    };
    OutputSpec::Image(options, place)
}
