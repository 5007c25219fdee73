//! Writing an image of one gibibyte as an OCI archive, and writing it again.
//!
//! Each figure begins with a store that holds the result of the build and nothing that an earlier
//! export left; building is not counted. The tools take turns.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Options;
use super::acetate::Acetate;
use super::buildah::Buildah;
use super::buildkit::BuildKit;
use super::report::Section;
use super::samples::{Samples, milliseconds};
use super::tool::{Job, Tool as _};
use super::{export_input, remove, running};
use crate::project::Project;
use crate::{bases, peers, process};

pub(super) const NAME: &str = "export";
const FORMS: [&str; 3] = ["gzip", "zstd", "uncompressed"];
const US: &str = "acetate";

/// Makes the command that writes an archive to a file in a form.
type Export = Box<dyn Fn(&Path, &str) -> Command>;

/// One tool with a store that holds the built image.
struct Side {
    name: &'static str,
    export: Export,
}

/// What one tool needed for one form.
#[derive(Default)]
struct Row {
    first: Vec<f64>,
    again: Vec<f64>,
    size: u64,
    /// Kibibytes, of the process that was started.
    peak: u64,
}

/// Measures all of it below `folder`.
pub(super) fn run(project: &Project, folder: &Path, options: &Options) -> Result<Section> {
    let context = folder.join("context");
    fs::create_dir_all(&context)?;
    export_input::make(&context)?;
    let busybox = bases::make_all(project)?.busybox;
    let binary = options
        .acetate
        .then(|| project.build_acetate(options.profile))
        .transpose()?;
    if options.peers {
        peers::peers(project)?;
    }
    let load = running::load();
    let mut rows: Vec<((&str, &str), Row)> = Vec::new();
    let (mut notes, mut n_failed) = (Vec::new(), 0);
    for _ in 0..options.runs {
        for form in FORMS {
            let names = binary.iter().map(|_| US);
            let peers = ["BuildKit", "buildah"].into_iter();
            for name in names.chain(peers.filter(|_| options.peers)) {
                let stores = folder.join("stores");
                fs::create_dir_all(&stores)?;
                let side = side(name, project, binary.as_ref(), &stores, &busybox, &context);
                let measured =
                    side.and_then(|side| measure(&side, form, folder, row(&mut rows, name, form)));
                if let Err(error) = measured {
                    n_failed += usize::from(name == US);
                    println!("bench: {form} with {name} failed: {error:#}");
                    notes.push(format!("{form} with {name} failed: {error:#}"));
                }
                remove(&stores)?;
            }
        }
    }
    rows.retain(|(_, row)| !row.again.is_empty());
    let table = table(&rows, &load, &notes)?;
    Ok(Section {
        name: NAME,
        json: as_json(&rows),
        table,
        n_failed,
    })
}

fn row<'a, 'n>(
    rows: &'a mut Vec<((&'n str, &'n str), Row)>,
    name: &'n str,
    form: &'n str,
) -> &'a mut Row {
    let key = (form, name);
    let at = rows.iter().position(|(known, _)| *known == key);
    let at = at.unwrap_or_else(|| {
        rows.push((key, Row::default()));
        rows.len() - 1
    });
    &mut rows[at].1
}

/// Builds with a fresh store.
fn side(
    name: &'static str,
    project: &Project,
    binary: Option<&PathBuf>,
    stores: &Path,
    busybox: &Path,
    context: &Path,
) -> Result<Side> {
    let job = Job {
        context,
        bust: None,
    };
    let context = context.to_owned();
    let export: Export = match name {
        "BuildKit" => {
            let tool = BuildKit::start(&peers::bin(project), stores, busybox)?;
            process::quiet(&mut tool.build(&job))?;
            Box::new(move |file, form| {
                let mut command = tool.start_build(&context);
                let dest = format!("type=oci,dest={},compression={form}", file.display());
                command.arg("--output").arg(dest);
                command
            })
        }
        "buildah" => {
            let tool = Buildah::prepare(stores, busybox)?;
            process::quiet(&mut tool.build(&job))?;
            Box::new(move |file, form| tool.push(file, form))
        }
        _ => {
            let binary = binary.context("acetate is not to be measured")?;
            let tool = Acetate::new(binary.clone(), stores, busybox);
            process::quiet(&mut tool.build(&job))?;
            Box::new(move |file, form| {
                let mut command = tool.start();
                let dest = format!("type=oci,dest={},compression={form}", file.display());
                command.arg("-o").arg(dest).arg(&context);
                command
            })
        }
    };
    Ok(Side { name, export })
}

fn measure(side: &Side, form: &str, folder: &Path, row: &mut Row) -> Result<()> {
    let file = folder.join("image.tar");
    // What building left to be written is no part of the export.
    process::quiet(&mut Command::new("sync"))?;
    let (time, peak) = watched(&mut (side.export)(&file, form))?;
    row.first.push(milliseconds(time));
    row.peak = row.peak.max(peak);
    row.size = fs::metadata(&file)?.len();
    fs::remove_file(&file)?;
    process::quiet(&mut Command::new("sync"))?;
    let (time, peak) = watched(&mut (side.export)(&file, form))?;
    row.again.push(milliseconds(time));
    row.peak = row.peak.max(peak);
    fs::remove_file(&file)?;
    println!(
        "bench: {form} with {}: {:?}, again {:?}",
        side.name,
        row.first.last(),
        row.again.last()
    );
    Ok(())
}

/// Runs a command; its time, and the largest memory that it was seen to have, in kibibytes.
fn watched(command: &mut Command) -> Result<(Duration, u64)> {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let mut child = silent.stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The kernel keeps the peak as long as the process has memory.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "`{command:?}` ended with {ended}");
            return Ok((start.elapsed(), peak));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn table(rows: &[((&str, &str), Row)], load: &str, notes: &[String]) -> Result<String> {
    let mut text = format!("Exports, at a load of {load} when they began:\n\n");
    text.push_str("| form | tool | first | ratio | again | ratio | MB | peak |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for ((form, name), row) in rows {
        let ours = rows.iter().find(|(key, _)| *key == (*form, US));
        let ratio = |of: fn(&Row) -> &Vec<f64>| -> Result<String> {
            let Some((_, ours)) = ours.filter(|_| *name != US) else {
                return Ok(String::new());
            };
            let (ours, theirs) = (Samples::of(of(ours).clone())?, of(row).clone());
            let theirs = Samples::of(theirs)?.median();
            Ok(format!("{:.2}", ours.median() / theirs))
        };
        let seconds =
            |all: &[f64]| Ok::<_, anyhow::Error>(Samples::of(all.to_vec())?.median() / 1e3);
        writeln!(
            text,
            "| {form} | {name} | {:.2} s | {} | {:.2} s | {} | {} | {} MiB |",
            seconds(&row.first)?,
            ratio(|row| &row.first)?,
            seconds(&row.again)?,
            ratio(|row| &row.again)?,
            row.size / 1_000_000,
            row.peak / 1024,
        )?;
    }
    text.push_str("\nA ratio is acetate's time by that of the tool in its row.\n");
    for note in notes {
        writeln!(text, "- {note}")?;
    }
    Ok(text)
}

fn as_json(rows: &[((&str, &str), Row)]) -> Value {
    let rows = rows.iter().map(|((form, name), row)| {
        json!({
            "form": form, "tool": name, "first": row.first, "again": row.again,
            "bytes": row.size, "peak_kib": row.peak,
        })
    });
    rows.collect()
}
