//! Servers that a measurement starts and ends.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::project::{Profile, Project};

/// A server on a port of loopback, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
}

impl Running {
    /// The cache server, open to everybody.
    pub(crate) fn ours(binary: &Path, dir: &Path, flags: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(binary);
        command.arg("--insecure-open").arg("--dir").arg(dir);
        command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(flags);
        Self::start(&mut command, port)
    }

    /// Starts a program that listens on this port, and waits until it does.
    pub(crate) fn start(command: &mut Command, port: u16) -> Result<Self> {
        let address = format!("127.0.0.1:{port}");
        let silent = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = silent.spawn().context("cannot start a server")?;
        let mut running = Self { child, address };
        let start = Instant::now();
        while TcpStream::connect(&running.address).is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("a server ended with {status}");
            }
            ensure!(
                start.elapsed() < Duration::from_secs(20),
                "a server does not answer"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }

    fn end(&mut self) {
        let id = self.child.id().to_string();
        // nginx ends its workers when it is asked to end; a kill would leave them.
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }

    /// The memory that it has at the moment, in mebibytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(kib.context("the kernel says how much memory there is")? / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Compiles the cache server and gives its path.
pub(crate) fn build_ours(project: &Project, profile: Profile) -> Result<PathBuf> {
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let mut cargo = project.cargo();
    cargo.args([
        "build",
        "--package",
        "acetate-cache-server",
        "--profile",
        name,
    ]);
    process::run(&mut cargo)?;
    Ok(project.target(folder).join("acetate-cache-server"))
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The machine's load of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
