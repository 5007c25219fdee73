//! buildah, with its layer cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::tool::{Job, Tool};
use crate::process;

/// buildah with a store of its own that holds the base image.
#[derive(Debug)]
pub(crate) struct Buildah {
    program: PathBuf,
    store: PathBuf,
    /// Named, since the one that buildah takes by itself may refuse the host's cgroups.
    runtime: Option<PathBuf>,
}

impl Buildah {
    pub(crate) fn prepare(stores: &Path, busybox: &Path) -> Result<Self> {
        let program = process::found("buildah");
        ensure!(
            program.is_some() && process::is_root(),
            "needs the program, and root"
        );
        let program = program.unwrap_or_default();
        let runtime = process::found("runc");
        let this = Self {
            program,
            store: stores.join("buildah"),
            runtime,
        };
        let source = format!("oci:{}:latest", busybox.display());
        let id = process::stdout(this.command().args(["pull", "--quiet"]).arg(source))?;
        let id = id.trim().lines().last().unwrap_or_default().to_owned();
        process::quiet(
            this.command()
                .args(["tag", &id, "localhost/busybox:latest"]),
        )?;
        Ok(this)
    }

    /// Writes what was built as an OCI archive.
    pub(crate) fn push(&self, file: &Path, form: &str) -> Command {
        let mut command = self.command();
        command.arg("push");
        match form {
            "uncompressed" => command.arg("--disable-compression"),
            form => command.args(["--compression-format", form]),
        };
        command.arg("localhost/result");
        command.arg(format!("oci-archive:{}", file.display()));
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.store.join("root"));
        command.arg("--runroot").arg(self.store.join("run"));
        command.args(["--storage-driver", "overlay"]);
        command
    }
}

impl Tool for Buildah {
    fn name(&self) -> &'static str {
        "buildah"
    }

    fn build(&self, job: &Job<'_>) -> Command {
        let mut command = self.command();
        command.args([
            "bud",
            "--layers",
            "--pull-never",
            "--network=host",
            "--jobs=8",
        ]);
        if let Some(runtime) = &self.runtime {
            command.arg("--runtime").arg(runtime);
        }
        if let Some(bust) = &job.bust {
            command.arg(format!("--build-arg=BUST={bust}"));
        }
        command.args(["--tag", "localhost/result"]).arg(job.context);
        command
    }

    fn declines(&self, workload: &str) -> Option<&'static str> {
        (workload == "stages").then_some("it mounts and commits every stage in turn")
    }
}
