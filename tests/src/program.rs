use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `acetate` program under test: the one that `ACETATE_TEST_PROGRAM` names, else that of this
/// workspace, built once for all tests of this process.
///
/// # Panics
/// When it cannot be built: nothing can be tested then.
pub fn acetate_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| built("acetate-cli", "acetate", "ACETATE_TEST_PROGRAM"))
}

/// A program of this workspace: the one that a variable names, else it is built in the profile of
/// the tests.
///
/// # Panics
/// When it cannot be built.
pub(crate) fn built(package: &str, name: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/test");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.status().expect("cargo runs");
    assert!(built.success(), "cargo build failed");
    profile.join(name)
}

/// A command that runs `acetate`, without the variables of whoever runs the tests.
pub fn acetate() -> Command {
    let mut command = Command::new(acetate_path());
    for name in [
        "ACETATE_HOME",
        "ACETATE_LOG",
        "BUILDKIT_PROGRESS",
        "SOURCE_DATE_EPOCH",
        "DOCKER_DEFAULT_PLATFORM",
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_TLS",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
    ] {
        command.env_remove(name);
    }
    command
}
