//! Twenty layers to a registry on this machine and back.
//!
//! The measure is what reading and hashing the same bytes costs with `cat` and `sha256sum`. Every
//! push goes to a registry that holds nothing, of layers that were compressed before; every pull to
//! a store that holds nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::Options;
use super::acetate::Acetate;
use super::buildkit::BuildKit;
use super::random::Random;
use super::remove;
use super::report::Section;
use super::running::{self, Running, free_port};
use super::samples::{Samples, milliseconds};
use super::tool::{Job, Tool as _};
use crate::project::Project;
use crate::{bases, peers, process};

pub(super) const NAME: &str = "registry";
const N_LAYERS: usize = 20;
const LAYER: usize = 10 << 20;

/// What was measured, and the figures of each turn.
type Rows = Vec<(&'static str, &'static str, Vec<f64>)>;

/// Measures all of it below `folder`.
pub(super) fn run(project: &Project, folder: &Path, options: &Options) -> Result<Section> {
    let context = folder.join("context");
    input(&context)?;
    let busybox = bases::make_all(project)?.busybox;
    let binary = project.build_acetate(options.profile)?;
    if options.peers {
        peers::peers(project)?;
    }
    let load = running::load();
    let mut rows = Rows::new();
    for _ in 0..options.runs {
        let turn = folder.join("turn");
        fs::create_dir_all(&turn)?;
        let stage = Stage {
            binary: &binary,
            busybox: &busybox,
            context: &context,
            turn: &turn,
        };
        stage.ours(&mut rows)?;
        if options.peers {
            stage.theirs(&peers::bin(project), &mut rows)?;
        }
        remove(&turn)?;
    }
    Ok(Section {
        name: NAME,
        json: rows
            .iter()
            .map(|(work, who, all)| json!({"work": work, "tool": who, "ms": all}))
            .collect(),
        table: table(&rows, &load)?,
        n_failed: 0,
    })
}

/// One turn of everything.
struct Stage<'a> {
    binary: &'a Path,
    busybox: &'a Path,
    context: &'a Path,
    turn: &'a Path,
}

impl Stage<'_> {
    fn ours(&self, rows: &mut Rows) -> Result<()> {
        let tool = Acetate::new(self.binary.to_owned(), self.turn, self.busybox);
        let push = |registry: &Running| {
            let mut command = tool.start();
            let output = format!("type=registry,name={}/bench:1", registry.address);
            command.arg("-o").arg(output).arg(self.context);
            command
        };
        let first = self.registry("first")?;
        process::quiet(&mut push(&first))?;
        let second = self.registry("second")?;
        add(rows, "push", "acetate", &mut push(&second))?;
        add(rows, "push of what is there", "acetate", &mut push(&second))?;
        let mut pull = Command::new(self.binary);
        pull.arg("--root").arg(self.turn.join("fresh"));
        pull.args(["image", "pull", &format!("{}/bench:1", second.address)]);
        add(rows, "pull", "acetate", &mut pull)?;
        let blobs = self.turn.join("second");
        let mut hash = Command::new("sh");
        hash.arg("-c")
            .arg("find \"$0\" -name data -exec cat {} + | sha256sum")
            .arg(&blobs);
        // Twice, so that it is read from memory as the others read it.
        process::quiet(&mut hash)?;
        add(rows, "cat and sha256sum", "-", &mut hash)
    }

    fn theirs(&self, bin: &Path, rows: &mut Rows) -> Result<()> {
        let tool = BuildKit::start(bin, self.turn, self.busybox)?;
        let job = Job {
            context: self.context,
            bust: None,
        };
        process::quiet(&mut tool.build(&job))?;
        let push = |registry: &Running| {
            let mut command = tool.start_build(self.context);
            let name = format!("{}/bench:1", registry.address);
            command.arg("--output").arg(format!(
                "type=image,name={name},push=true,registry.insecure=true"
            ));
            command
        };
        let third = self.registry("third")?;
        process::quiet(&mut push(&third))?;
        let fourth = self.registry("fourth")?;
        add(rows, "push", "BuildKit", &mut push(&fourth))?;
        add(
            rows,
            "push of what is there",
            "BuildKit",
            &mut push(&fourth),
        )?;
        let crane = bin.join("crane");
        if crane.is_file() {
            let mut pull = Command::new(crane);
            pull.args(["pull", "--insecure", "--format=oci"]);
            pull.arg(format!("{}/bench:1", fourth.address));
            pull.arg(self.turn.join("crane"));
            add(rows, "pull", "crane", &mut pull)?;
        }
        Ok(())
    }

    /// A registry that holds nothing.
    fn registry(&self, name: &str) -> Result<Running> {
        let folder = self.turn.join(name);
        fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let config = folder.with_extension("yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
            folder.display()
        );
        fs::write(&config, text)?;
        let program = process::found("docker-registry").context("`docker-registry` is not here")?;
        Running::start(Command::new(program).arg("serve").arg(&config), port)
    }
}

fn add(
    rows: &mut Rows,
    work: &'static str,
    who: &'static str,
    command: &mut Command,
) -> Result<()> {
    process::quiet(&mut Command::new("sync"))?;
    let start = Instant::now();
    process::quiet(command)?;
    let time = milliseconds(start.elapsed());
    println!("bench: {work} with {who}: {time:.0} ms");
    match rows.iter_mut().find(|row| (row.0, row.1) == (work, who)) {
        Some(row) => row.2.push(time),
        None => rows.push((work, who, vec![time])),
    }
    Ok(())
}

/// A Dockerfile of twenty COPYs, each of ten mebibytes that cannot be compressed.
fn input(context: &Path) -> Result<()> {
    fs::create_dir_all(context)?;
    let mut file = String::from("FROM scratch\n");
    let mut random = Random::new(7);
    for n in 0..N_LAYERS {
        let path: PathBuf = context.join(format!("f{n}"));
        fs::write(path, random.bytes(LAYER))?;
        writeln!(file, "COPY f{n} /")?;
    }
    fs::write(context.join("Dockerfile"), file)?;
    Ok(())
}

fn table(rows: &Rows, load: &str) -> Result<String> {
    let mut text = format!("Twenty layers of 10 MiB and a registry here, at a load of {load}:\n\n");
    text.push_str("| work | tool | time | of cat and sha256sum |\n|---|---|---|---|\n");
    let median = |all: &Vec<f64>| Ok::<_, anyhow::Error>(Samples::of(all.clone())?.median());
    let bound = rows.iter().find(|row| row.0.starts_with("cat"));
    let bound = bound.map(|row| median(&row.2)).transpose()?;
    for (work, who, all) in rows {
        let time = median(all)?;
        let ratio = bound.map_or_else(String::new, |bound| format!("{:.2}", time / bound));
        writeln!(text, "| {work} | {who} | {time:.0} ms | {ratio} |")?;
    }
    Ok(text)
}
