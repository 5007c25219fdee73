//! `BuildKit`: a daemon of our own on a socket below the bench's folder, and `buildctl`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::tool::{Job, Tool};
use crate::{layout, process};

const START_LIMIT: Duration = Duration::from_secs(30);

/// A running `buildkitd`, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct BuildKit {
    daemon: Child,
    buildctl: PathBuf,
    address: String,
    busybox: PathBuf,
    busybox_digest: String,
}

impl BuildKit {
    pub(crate) fn start(bin: &Path, stores: &Path, busybox: &Path) -> Result<Self> {
        let (buildkitd, buildctl) = (bin.join("buildkitd"), bin.join("buildctl"));
        ensure!(
            buildkitd.is_file() && buildctl.is_file(),
            "run `cargo xtask peers` with Go"
        );
        ensure!(process::is_root(), "its daemon is measured as root only");
        let folder = stores.join("buildkit");
        fs::create_dir_all(&folder)?;
        let address = format!("unix://{}", folder.join("socket").display());
        let log = folder.join("log");
        let daemon = Command::new(&buildkitd)
            .arg("--root")
            .arg(folder.join("root"))
            .args(["--addr", &address, "--containerd-worker=false"])
            .args(["--oci-worker-net=host", "--oci-worker-binary=runc"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start `buildkitd`")?;
        let busybox_digest = layout::manifest_digest(busybox)?;
        let mut this = Self {
            daemon,
            buildctl,
            address,
            busybox: busybox.to_owned(),
            busybox_digest,
        };
        this.wait_until_ready(&log)?;
        Ok(this)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_LIMIT {
            if let Some(status) = self.daemon.try_wait()? {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!(
                    "`buildkitd` ended with {status}: {}",
                    said.lines().last().unwrap_or("")
                );
            }
            if process::quiet(self.client().args(["debug", "workers"])).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("`buildkitd` does not answer; see {}", log.display())
    }

    fn client(&self) -> Command {
        let mut command = Command::new(&self.buildctl);
        command.args(["--addr", &self.address]);
        command
    }

    /// The beginning of a build's command line: the context and the base.
    pub(crate) fn start_build(&self, context: &Path) -> Command {
        let with = |name: &str, path: &Path| {
            let mut word = OsString::from(format!("{name}="));
            word.push(path);
            word
        };
        let mut command = self.client();
        command.args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
        command.arg("--local").arg(with("context", context));
        command.arg("--local").arg(with("dockerfile", context));
        command.arg("--oci-layout").arg(with("base", &self.busybox));
        let base = format!("context:busybox=oci-layout://base@{}", self.busybox_digest);
        command.args(["--opt", &base]);
        command
    }
}

impl Tool for BuildKit {
    fn name(&self) -> &'static str {
        "BuildKit"
    }

    fn build(&self, job: &Job<'_>) -> Command {
        let mut command = self.start_build(job.context);
        if let Some(bust) = &job.bust {
            command.arg("--opt").arg(format!("build-arg:BUST={bust}"));
        }
        command
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        let id = self.daemon.id().to_string();
        // The daemon takes its mounts down when it is asked to end; a kill would leave them.
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.daemon.kill());
        }
        drop(self.daemon.wait());
    }
}
