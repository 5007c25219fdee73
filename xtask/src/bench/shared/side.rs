//! The two that are compared, and the machines that they run on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::place::Place;
use crate::bench::acetate::Acetate;
use crate::bench::buildkit::BuildKit;
use crate::bench::running::{Running, free_port};
use crate::process;

/// One build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Build<'a> {
    pub(super) context: &'a Path,
    pub(super) file: &'a str,
    /// Where results are looked for.
    pub(super) from: Option<&'a Place>,
    /// Where the results of all steps go.
    pub(super) to: Option<&'a Place>,
    /// The file that an OCI archive is written to; without it no output is made.
    pub(super) archive: Option<&'a Path>,
}

impl<'a> Build<'a> {
    pub(super) fn of(context: &'a Path, file: &'a str) -> Self {
        Self {
            context,
            file,
            from: None,
            to: None,
            archive: None,
        }
    }

    pub(super) fn from(self, place: &'a Place) -> Self {
        Self {
            from: Some(place),
            ..self
        }
    }

    pub(super) fn to(self, place: &'a Place) -> Self {
        Self {
            to: Some(place),
            ..self
        }
    }

    pub(super) fn archive(self, file: &'a Path) -> Self {
        Self {
            archive: Some(file),
            ..self
        }
    }
}

/// A builder, and the server that its shared cache is kept by.
pub(super) trait Side {
    fn name(&self) -> &'static str;

    /// A machine that has built nothing yet, with everything that it keeps below `folder`.
    fn machine(&self, folder: &Path) -> Result<Box<dyn Machine>>;

    /// A server that holds nothing yet, likewise.
    fn server(&self, folder: &Path) -> Result<Running>;
}

/// A builder with what it keeps.
pub(super) trait Machine {
    fn command(&self, build: &Build<'_>) -> Command;
}

/// Acetate and its cache server.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) binary: PathBuf,
    pub(super) server: PathBuf,
    pub(super) busybox: PathBuf,
}

impl Side for Ours {
    fn name(&self) -> &'static str {
        "acetate"
    }

    fn machine(&self, folder: &Path) -> Result<Box<dyn Machine>> {
        let machine = Acetate::new(self.binary.clone(), folder, &self.busybox);
        Ok(Box::new(machine))
    }

    fn server(&self, folder: &Path) -> Result<Running> {
        Running::ours(&self.server, folder, &[])
    }
}

impl Machine for Acetate {
    fn command(&self, build: &Build<'_>) -> Command {
        let mut command = self.start();
        match build.archive {
            Some(file) => command.args(["-o", &format!("type=oci,dest={}", file.display())]),
            None => command.args(["-o", "type=cacheonly"]),
        };
        command.arg("--file").arg(build.context.join(build.file));
        if let Some(place) = build.from {
            command.arg("--cache-from").arg(match place {
                Place::Server(address) => format!("http://{address}/bench"),
                Place::Directory(dir) => format!("type=local,src={}", dir.display()),
            });
        }
        if let Some(place) = build.to {
            command.arg("--cache-to").arg(match place {
                Place::Server(address) => format!("type=http,url=http://{address}/bench,mode=max"),
                Place::Directory(dir) => format!("type=local,dest={},mode=max", dir.display()),
            });
        }
        command.arg(build.context);
        command
    }
}

/// `BuildKit` and a registry.
#[derive(Debug)]
pub(super) struct Theirs {
    /// Where its programs are.
    pub(super) bin: PathBuf,
    pub(super) registry: PathBuf,
    pub(super) busybox: PathBuf,
}

impl Side for Theirs {
    fn name(&self) -> &'static str {
        "BuildKit"
    }

    fn machine(&self, folder: &Path) -> Result<Box<dyn Machine>> {
        let machine = BuildKit::start(&self.bin, folder, &self.busybox)?;
        Ok(Box::new(machine))
    }

    fn server(&self, folder: &Path) -> Result<Running> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
            folder.join("blobs").display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(&self.registry);
        Running::start(command.arg("serve").arg(&config), port)
    }
}

impl Machine for BuildKit {
    fn command(&self, build: &Build<'_>) -> Command {
        let mut command = self.start_build(build.context);
        command.args(["--opt", &format!("filename={}", build.file)]);
        if let Some(file) = build.archive {
            command.args(["--output", &format!("type=oci,dest={}", file.display())]);
        }
        if let Some(place) = build.from {
            command.arg("--import-cache").arg(match place {
                Place::Server(address) => format!("type=registry,ref={address}/bench:cache"),
                Place::Directory(dir) => format!("type=local,src={}", dir.display()),
            });
        }
        if let Some(place) = build.to {
            command.arg("--export-cache").arg(match place {
                Place::Server(address) => {
                    format!("type=registry,ref={address}/bench:cache,mode=max")
                }
                Place::Directory(dir) => format!("type=local,dest={},mode=max", dir.display()),
            });
        }
        command
    }
}

/// A machine that is gone when this is dropped.
pub(super) struct Fresh {
    machine: Option<Box<dyn Machine>>,
    folder: PathBuf,
}

impl Fresh {
    /// Takes a machine below `folder`, which must not exist.
    pub(super) fn new(side: &dyn Side, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let machine = side
            .machine(&folder)
            .with_context(|| format!("cannot start {}", side.name()))?;
        Ok(Self {
            machine: Some(machine),
            folder,
        })
    }

    /// Builds and gives the time in milliseconds. What was written before is on the disk by then.
    pub(super) fn time(&self, build: &Build<'_>) -> Result<f64> {
        process::quiet(&mut Command::new("sync"))?;
        let machine = self.machine.as_ref().context("it is there until the end")?;
        let time = process::timed(&mut machine.command(build))?;
        Ok(crate::bench::samples::milliseconds(time))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // A daemon ends before its store goes.
        drop(self.machine.take());
        if let Err(error) = crate::bench::remove(&self.folder) {
            println!("bench: {error:#}");
        }
    }
}
