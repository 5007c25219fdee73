//! The base images of the demo, the tests and the measurements, made on this machine.
//!
//! Nothing is fetched by name here: Debian comes from whatever package sources the machine itself
//! is set up with, and busybox from its installed package.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::{self, EPOCH, ImageText};
use crate::project::Project;
use crate::{peers, process};

mod sources;

/// Raised when the recipes below change, so that older bases are made again.
const RECIPE: &str = "3";
const RECIPE_FILE: &str = "recipe";

/// The two layouts.
#[derive(Debug)]
pub(crate) struct Bases {
    pub(crate) debian: PathBuf,
    pub(crate) busybox: PathBuf,
}

/// Makes the bases that are missing.
pub(crate) fn make_all(project: &Project) -> Result<Bases> {
    let folder = project.target("bases");
    let bases = Bases {
        debian: folder.join("debian"),
        busybox: folder.join("busybox"),
    };
    if is_current(&bases.debian) && is_current(&bases.busybox) {
        return Ok(bases);
    }
    peers::setup()?;
    fs::create_dir_all(&folder)?;
    make(&bases.busybox, busybox)?;
    make(&bases.debian, debian)?;
    Ok(bases)
}

fn is_current(layout: &Path) -> bool {
    let recipe = fs::read_to_string(layout.join(RECIPE_FILE));
    layout.join("index.json").is_file() && recipe.is_ok_and(|text| text.trim() == RECIPE)
}

/// Runs one recipe in a scratch folder beside the layout and publishes what it made.
fn make(layout: &Path, recipe: fn(&Path, &Path) -> Result<()>) -> Result<()> {
    if is_current(layout) {
        return Ok(());
    }
    println!("bases: making {}", layout.display());
    if layout.exists() {
        fs::remove_dir_all(layout)?;
    }
    let mut scratch = layout.as_os_str().to_owned();
    scratch.push(format!(".scratch-{}", std::process::id()));
    let scratch = PathBuf::from(scratch);
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let made = recipe(layout, &scratch);
    fs::remove_dir_all(&scratch)?;
    made?;
    // Written last: a layout without it is made again.
    fs::write(layout.join(RECIPE_FILE), RECIPE)?;
    Ok(())
}

/// A root file system with one static program and a link for each of its names.
fn busybox(layout: &Path, scratch: &Path) -> Result<()> {
    let program = process::found("busybox").context("`busybox` is not here: install it")?;
    let root = scratch.join("root");
    let folders = [
        "bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "usr/bin",
    ];
    for folder in folders
        .iter()
        .chain(&["usr/sbin", "var", "var/tmp", "sbin", "usr/local/bin"])
    {
        fs::create_dir_all(root.join(folder))?;
    }
    for open in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(open), fs::Permissions::from_mode(0o1777))?;
    }
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700))?;
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    fs::copy(&program, root.join("bin/busybox"))?;
    let names = process::stdout(Command::new(&program).arg("--list"))?;
    let names: BTreeSet<&str> = names.lines().filter(|name| *name != "busybox").collect();
    if !names.contains("sh") {
        bail!("{} has no shell in it", program.display());
    }
    for name in names {
        symlink("busybox", root.join("bin").join(name))?;
    }
    let tar = scratch.join("layer.tar");
    process::quiet(
        Command::new("tar")
            .args([
                "--create",
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
            ])
            .args([
                "--format=posix",
                "--pax-option=exthdr.name=%d/PaxHeaders/%f",
            ])
            .args(["--pax-option=delete=atime,delete=ctime"])
            .arg(format!("--mtime=@{EPOCH}"))
            .arg("--file")
            .arg(&tar)
            .arg("--directory")
            .arg(&root)
            .arg("."),
    )?;
    layout::write(
        layout,
        &tar,
        &ImageText {
            cmd: &["sh"],
            created_by: "busybox-static",
        },
    )
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      daemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
                      nobody:x:65534:65534:nobody:/home:/bin/false\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nusers:x:100:\nnogroup:x:65534:\n";

/// Essential packages and apt, with the machine's own package sources inside.
fn debian(layout: &Path, scratch: &Path) -> Result<()> {
    if process::found("mmdebstrap").is_none() {
        bail!("`mmdebstrap` is not here: run `cargo xtask setup` as root, or install it");
    }
    let tar = scratch.join("layer.tar");
    let sources = sources::Sources::of_this_machine()?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=apt", "--skip=output/dev"])
        .args([
            "--aptopt=Acquire::Languages \"none\"",
            "--aptopt=APT::Sandbox::User \"root\"",
        ])
        .args(["man", "locale", "info", "lintian"].map(excluded))
        .args(["--dpkgopt=path-exclude=/usr/share/doc/*"])
        .args(["--dpkgopt=path-include=/usr/share/doc/*/copyright"])
        // Names of this machine have no place in an image.
        .arg("--customize-hook=rm -f \"$1/etc/hostname\" \"$1/etc/resolv.conf\"")
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string());
    for option in sources.apt_options() {
        command.arg(format!("--aptopt={option}"));
    }
    for file in sources.copied_files() {
        command.arg(format!("--setup-hook=mkdir -p \"$1{}\"", file.to));
        command.arg(format!("--setup-hook=copy-in {} {}", file.from, file.to));
    }
    command.arg(sources.suite()).arg(&tar).args(sources.lines());
    process::quiet(&mut command)?;
    layout::write(
        layout,
        &tar,
        &ImageText {
            cmd: &["bash"],
            created_by: "mmdebstrap",
        },
    )
}

fn excluded(folder: &str) -> String {
    format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")
}
