//! Where things lie in the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The checkout that this tool was built from.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    root: PathBuf,
}

/// How the measured or shown binary is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Project {
    /// Finds the checkout from the place where cargo compiled this tool.
    pub(crate) fn locate() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here
            .parent()
            .context("xtask lies below the workspace root")?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |dir| self.root.join(dir));
        target.join(relative)
    }

    /// A cargo command that runs in the checkout, whatever the current directory is.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        command
    }

    /// Compiles the product's binary and returns its path.
    pub(crate) fn build_acetate(&self, profile: Profile) -> Result<PathBuf> {
        let (name, folder) = match profile {
            Profile::Dev => ("dev", "debug"),
            Profile::Release => ("release", "release"),
        };
        let args = [
            "build",
            "--package",
            "acetate-cli",
            "--bin",
            "acetate",
            "--profile",
            name,
        ];
        process::run(self.cargo().args(args))?;
        Ok(self.target(folder).join("acetate"))
    }

    /// Compiles the product's binary and the cache server, and returns their paths. Together they
    /// need half the time: alone, each has dependencies with other features.
    pub(crate) fn build_both(&self, profile: Profile) -> Result<(PathBuf, PathBuf)> {
        let (name, folder) = match profile {
            Profile::Dev => ("dev", "debug"),
            Profile::Release => ("release", "release"),
        };
        let mut cargo = self.cargo();
        cargo.args(["build", "--profile", name]);
        cargo.args([
            "--package",
            "acetate-cli",
            "--package",
            "acetate-cache-server",
        ]);
        process::run(&mut cargo)?;
        let folder = self.target(folder);
        Ok((folder.join("acetate"), folder.join("acetate-cache-server")))
    }
}
