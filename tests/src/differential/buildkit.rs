use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(30);
/// The name that buildx knows the daemon by.
const BUILDER: &str = "differential";

/// A `buildkitd` of our own, asked through `buildx`; ended with this value.
#[derive(Debug)]
pub struct BuildKit {
    daemon: Child,
    buildx: PathBuf,
    home: PathBuf,
}

impl BuildKit {
    /// Starts the daemon with programs of `bin`, and its state in `folder`, where results of
    /// earlier runs are found again.
    ///
    /// # Errors
    /// In words, when a program is missing or does not start.
    pub fn start(bin: &Path, folder: &Path) -> Result<Self, String> {
        for name in ["buildkitd", "buildctl", "buildx"] {
            if !bin.join(name).is_file() {
                return Err(format!("`{name}` is not there: run `cargo xtask peers`"));
            }
        }
        let words = |error: std::io::Error| error.to_string();
        let home = folder.join("home");
        std::fs::create_dir_all(&home).map_err(words)?;
        let address = format!("unix://{}", folder.join("socket").display());
        let log = folder.join("log");
        let daemon = Command::new(bin.join("buildkitd"))
            .arg("--root")
            .arg(folder.join("root"))
            .args(["--addr", &address, "--containerd-worker=false"])
            .args(["--oci-worker-net=host", "--oci-worker-binary=runc"])
            .args(["--oci-worker-gc=false"])
            .args(["--allow-insecure-entitlement", "network.host"])
            .args(["--allow-insecure-entitlement", "security.insecure"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).map_err(words)?)
            .spawn()
            .map_err(words)?;
        let mut this = Self {
            daemon,
            buildx: bin.join("buildx"),
            home,
        };
        this.wait(&bin.join("buildctl"), &address, &log)?;
        this.register(&address)?;
        Ok(this)
    }

    fn wait(&mut self, buildctl: &Path, address: &str, log: &Path) -> Result<(), String> {
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.daemon.try_wait() {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                return Err(format!("`buildkitd` ended with {status}: {last}"));
            }
            let mut asked = Command::new(buildctl);
            asked.args(["--addr", address, "debug", "workers"]);
            if asked.output().is_ok_and(|output| output.status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("`buildkitd` does not answer: {}", log.display()))
    }

    fn register(&self, address: &str) -> Result<(), String> {
        drop(self.client().args(["rm", BUILDER]).output());
        let mut create = self.client();
        create.args(["create", "--name", BUILDER, "--driver", "remote", address]);
        match create.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn client(&self) -> Command {
        let mut command = Command::new(&self.buildx);
        command.env_clear();
        command.env("HOME", &self.home);
        command.env("BUILDX_CONFIG", self.home.join("buildx"));
        command.env("DOCKER_CONFIG", self.home.join("docker"));
        command.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        command
    }

    /// The beginning of a build command.
    pub(super) fn build(&self) -> Command {
        let mut command = self.client();
        command.args(["build", "--builder", BUILDER, "--provenance=false"]);
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
