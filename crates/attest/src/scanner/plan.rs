use std::collections::{BTreeMap, BTreeSet};

use acetate_oci::ContainerConfig;

use super::{CORE_AT, EXTRAS_AT, OUTPUT_AT};

/// How a scanner image is run: on its own root, with the trees beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlan {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value`, those of the image first.
    pub env: Vec<String>,
    /// The working directory, absolute.
    pub cwd: String,
    /// The user, as the image has it; empty is root.
    pub user: String,
    /// What is mounted besides the image.
    pub mounts: Vec<ScanMount>,
}

/// One mount of a scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanMount {
    /// Where.
    pub target: String,
    /// What.
    pub source: Mounted,
}

/// What a scanner has mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mounted {
    /// The root of the result, read-only.
    Core,
    /// A further tree by the name given, read-only.
    Extra(String),
    /// An empty file system that the output is read from afterwards.
    Output,
    /// Memory.
    Tmpfs,
}

/// Why a scanner image cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Its config names no program.
    #[error("scanner `{0}` has neither ENTRYPOINT nor CMD; name an image that is an SBOM scanner")]
    NoCommand(String),
    /// The name of an extra tree is no name of a directory.
    #[error("`{0}` cannot be scanned under this name; rename the stage")]
    BadName(String),
}

/// Says how the scanner image `name` with `config` is run.
///
/// `extras` are the names of further trees: of stages, or `context`. `parameters` are those of
/// `--sbom`. Nothing of the environment of the build reaches the scanner.
pub fn plan(
    name: &str,
    config: &ContainerConfig,
    extras: &[String],
    parameters: &BTreeMap<String, String>,
) -> Result<ScanPlan, PlanError> {
    let parts = [&config.entrypoint, &config.cmd].into_iter();
    let argv: Vec<String> = parts.flatten().flatten().cloned().collect();
    if argv.is_empty() {
        return Err(PlanError::NoCommand(name.to_owned()));
    }
    let extras: BTreeSet<&String> = extras.iter().collect();
    if let Some(bad) = extras.iter().find(|name| !is_directory_name(name)) {
        return Err(PlanError::BadName((**bad).clone()));
    }
    let mut env = config.env.clone();
    env.push(format!("BUILDKIT_SCAN_DESTINATION={OUTPUT_AT}"));
    env.push(format!("BUILDKIT_SCAN_SOURCE={CORE_AT}"));
    if !extras.is_empty() {
        env.push(format!("BUILDKIT_SCAN_SOURCE_EXTRAS={EXTRAS_AT}"));
    }
    env.extend(
        parameters
            .iter()
            .map(|(name, value)| format!("BUILDKIT_SCAN_{name}={value}")),
    );
    let cwd = Some(config.working_dir.clone()).filter(|dir| !dir.is_empty());
    Ok(ScanPlan {
        argv,
        env,
        cwd: cwd.unwrap_or_else(|| "/".to_owned()),
        user: config.user.clone(),
        mounts: mounts(&extras),
    })
}

fn mounts(extras: &BTreeSet<&String>) -> Vec<ScanMount> {
    let mount = |target: &str, source| ScanMount {
        target: target.to_owned(),
        source,
    };
    let mut mounts = vec![mount("/tmp", Mounted::Tmpfs), mount(CORE_AT, Mounted::Core)];
    mounts.extend(extras.iter().map(|name| {
        let target = format!("{EXTRAS_AT}/sbom-{name}");
        mount(&target, Mounted::Extra((*name).clone()))
    }));
    mounts.push(mount(OUTPUT_AT, Mounted::Output));
    mounts
}

fn is_directory_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 200 && !name.contains(['/', '\0'])
}
