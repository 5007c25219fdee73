//! Our own binary.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::{Job, Tool};

/// The binary with a store of its own.
#[derive(Debug)]
pub(crate) struct Acetate {
    binary: PathBuf,
    store: PathBuf,
    busybox: PathBuf,
}

impl Acetate {
    pub(crate) fn new(binary: PathBuf, stores: &Path, busybox: &Path) -> Self {
        Self {
            binary,
            store: stores.join("acetate"),
            busybox: busybox.to_owned(),
        }
    }

    /// The beginning of a build's command line: the store and the base.
    pub(crate) fn start(&self) -> Command {
        let mut base = OsString::from("busybox=oci-layout://");
        base.push(&self.busybox);
        let mut command = Command::new(&self.binary);
        command
            .arg("build")
            .arg("--root")
            .arg(&self.store)
            .arg("--build-context")
            .arg(base)
            .arg("--progress=plain");
        command
    }
}

impl Tool for Acetate {
    fn name(&self) -> &'static str {
        "acetate"
    }

    fn build(&self, job: &Job<'_>) -> Command {
        let mut command = self.start();
        command.args(["-o", "type=cacheonly"]);
        if let Some(bust) = &job.bust {
            command.arg("--build-arg").arg(format!("BUST={bust}"));
        }
        command.arg(job.context);
        command
    }
}
