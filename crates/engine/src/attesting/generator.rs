//! Scanners that are images: run like a step, with the trees mounted, and read afterwards.

use super::context_copy;
use super::scan::Scannable;
use super::scans;
use crate::engine::Engine;
use crate::error::words;
use crate::images;
use crate::progress::{InternalStep, Progress};
use crate::runner::StepRunner;
use crate::steps::{StepError, exec};
use crate::{BuildError, BuildRequest};
use acetate_attest::scanner::{self, Collected, Mounted, OutputFile, Scan, ScanPlan};
use acetate_exec::{CancelToken, ExecError, ExecRequest, Executor, MountKind, StepMount, UserIds};
use acetate_image::{ImageSource, ResolvedImage};
use acetate_oci::Platform;
use acetate_snapshot::{ActiveSnapshot, Snapshot, Snapshots};
use acetate_store::ScratchDir;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As much as all files of a scanner together may hold.
const MAX_TOTAL: u64 = 256 << 20;
/// As much as one of them may, and one byte, by which it is seen to be too large.
const MAX_FILE: u64 = (80 << 20) + 1;
/// As many names as are looked at.
const MAX_NAMES: usize = 10_000;

/// A scanner image that was found, and what it is run with.
#[derive(Debug)]
pub(crate) struct Generator {
    name: String,
    pub(crate) image: Arc<ResolvedImage>,
    parameters: BTreeMap<String, String>,
    executor: Arc<dyn Executor>,
}

impl Generator {
    /// Finds the scanner that a request names, before anything is built.
    pub(crate) async fn find(
        engine: &Engine,
        request: &BuildRequest,
        progress: &Progress,
    ) -> Result<Option<Arc<Self>>, BuildError> {
        let wanted = request.attest.sbom.as_ref().filter(|_| scans(request));
        let Some(sbom) = wanted else { return Ok(None) };
        let Some(name) = &sbom.generator else {
            return Ok(None);
        };
        let source = name.parse::<ImageSource>();
        let source =
            source.map_err(|error| BuildError::request(format!("generator={name}: {error}")))?;
        let step = progress.internal(&format!("[internal] load metadata for {source}"));
        let image = engine.puller.resolve(&source, &Platform::host()).await;
        let image = image.map_err(BuildError::from);
        step.end(&image);
        Ok(Some(Arc::new(Self {
            name: name.clone(),
            image: Arc::new(image?),
            parameters: sbom.parameters.clone(),
            executor: engine.executor_for(request.isolation)?,
        })))
    }

    /// Scans trees that are all here.
    pub(super) async fn run(
        self: &Arc<Self>,
        runner: &Arc<StepRunner>,
        scannable: Scannable,
        step: &InternalStep,
    ) -> Result<Vec<Scan>, BuildError> {
        let mut extras: Vec<String> = scannable
            .stages
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        if scannable.context {
            extras.push("context".to_owned());
        }
        let config = &self.image.config.config;
        let plan = scanner::plan(&self.name, config, &extras, &self.parameters);
        let plan = plan.map_err(|error| BuildError::request(error.to_string()))?;
        let base = runner
            .snapshots
            .from_blobs(&images::layers_of(&self.image))?;
        let usable = runner.blobs.ensure_usable(&base).await;
        usable.map_err(|error| BuildError::request(words(&error)))?;
        let cancel =
            CancelToken::new().map_err(|error| BuildError::Exec(ExecError::Spawn(error)))?;
        // A build that ends early is not waited for by its scanner.
        let _guard = CancelOnDrop(cancel.clone());
        let job = Job {
            generator: Arc::clone(self),
            runner: Arc::clone(runner),
            vertex: step.vertex(),
            base,
            scannable,
            plan,
            cancel,
        };
        let collected = acetate_stdx::blocking(move || job.run()).await?;
        for name in &collected.ignored {
            step.note(&format!("`{name}` is no scan by its name and is left out"));
        }
        Ok(collected.scans)
    }

    fn failed(&self, what: &str) -> BuildError {
        BuildError::request_with(
            format!("scanner `{}`: {what}", self.name),
            "look at what it wrote, or leave generator= out for the built-in scanner",
        )
    }
}

struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// One run of a scanner.
struct Job {
    generator: Arc<Generator>,
    runner: Arc<StepRunner>,
    vertex: acetate_oci::Digest,
    base: Snapshot,
    scannable: Scannable,
    plan: ScanPlan,
    cancel: CancelToken,
}

/// What has to stay while a scanner runs.
struct Kept {
    roots: Vec<ActiveSnapshot>,
    scratch: ScratchDir,
}

impl Job {
    fn run(self) -> Result<Collected, BuildError> {
        let snapshots = &self.runner.snapshots;
        let active = snapshots.prepare(&self.base)?;
        let mut kept = Kept {
            roots: Vec::new(),
            scratch: self.runner.store.scratch()?,
        };
        let output = kept.directory("out", 0o777)?;
        let mut request = self.request(&active)?;
        request.mounts = self.mounts(&mut kept, &output)?;
        let mut log = |stream: acetate_exec::Stream, bytes: &[u8]| {
            self.runner.progress.emit(crate::BuildEvent::Log {
                vertex: self.vertex,
                at: self.runner.progress.now(),
                stream: if stream == acetate_exec::Stream::Stdout {
                    1
                } else {
                    2
                },
                data: bytes.to_vec(),
            });
        };
        let outcome = self
            .generator
            .executor
            .run(&request, &mut log, &self.cancel)?;
        if self.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        if !outcome.status.success() {
            return Err(self.generator.failed(&outcome.status.to_string()));
        }
        let files = collect(&output).map_err(|error| self.generator.failed(&error.to_string()))?;
        scanner::collect(files).map_err(|error| self.generator.failed(&error.to_string()))
    }

    fn request(&self, active: &ActiveSnapshot) -> Result<ExecRequest, BuildError> {
        let plan = &self.plan;
        let account = exec::account(&self.runner.snapshots, &self.base, &plan.user);
        let account = account.map_err(of_step)?;
        let mut request = ExecRequest::new(active.root().clone(), plan.argv.iter().cloned());
        request.env = exec::environment(&plan.env, &[], account.home.as_deref());
        request.cwd.clone_from(&plan.cwd);
        request.user = UserIds {
            uid: account.owner.uid,
            gid: account.owner.gid,
            groups: account.groups,
        };
        request.mount_points = exec::mount_points(self.runner.store.root());
        Ok(request)
    }

    fn mounts(&self, kept: &mut Kept, output: &Path) -> Result<Vec<StepMount>, BuildError> {
        let snapshots = &self.runner.snapshots;
        let mut list = Vec::with_capacity(self.plan.mounts.len());
        for mount in &self.plan.mounts {
            let source = match &mount.source {
                Mounted::Core => kept.root(snapshots, &self.scannable.core)?,
                Mounted::Extra(name) => match self.stage(name) {
                    Some(snapshot) => kept.root(snapshots, snapshot)?,
                    None => self.context(kept)?,
                },
                Mounted::Output => directory(output.to_owned()),
                Mounted::Tmpfs => MountKind::Tmpfs { size: None },
            };
            list.push(StepMount {
                target: mount.target.clone(),
                read_only: matches!(mount.source, Mounted::Core | Mounted::Extra(_)),
                source,
            });
        }
        Ok(list)
    }

    fn stage(&self, name: &str) -> Option<&Snapshot> {
        let mut stages = self.scannable.stages.iter();
        stages
            .find(|(own, _)| own == name)
            .map(|(_, snapshot)| snapshot)
    }

    /// The context without what its ignore file hides: a scanner sees no more than a step could.
    fn context(&self, kept: &mut Kept) -> Result<MountKind, BuildError> {
        let copy = kept.directory("context", 0o755)?;
        if let Some(tree) = self.runner.contexts.open_tree("")? {
            context_copy::copy(tree, &copy)?;
        }
        Ok(directory(copy))
    }
}

impl Kept {
    fn root(&mut self, snapshots: &Snapshots, of: &Snapshot) -> Result<MountKind, BuildError> {
        let active = snapshots.prepare(of)?;
        let root = active.root().clone();
        self.roots.push(active);
        Ok(MountKind::Snapshot {
            root,
            path: String::new(),
        })
    }

    fn directory(&self, name: &str, mode: u32) -> Result<PathBuf, BuildError> {
        let path = self.scratch.path().join(name);
        let mode = std::fs::Permissions::from_mode(mode);
        let made = std::fs::create_dir(&path).and_then(|()| std::fs::set_permissions(&path, mode));
        made.map_err(|source| BuildError::Input {
            action: "make the directory",
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

fn directory(dir: PathBuf) -> MountKind {
    MountKind::Directory {
        dir,
        path: String::new(),
    }
}

fn of_step(error: StepError) -> BuildError {
    match error {
        StepError::Files(error) => BuildError::Files(error),
        StepError::Snapshot(error) => BuildError::Snapshot(error),
        error => BuildError::request(error.to_string()),
    }
}

/// Reads what a scanner wrote: regular files at the top, no links, and no more than a bound.
fn collect(dir: &Path) -> io::Result<Vec<OutputFile>> {
    let mut files = Vec::new();
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if files.len() == MAX_NAMES {
            return Err(io::Error::other("it wrote too many files"));
        }
        let path = entry.file_name().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        // The others are only named.
        let is_json = entry.path().extension().is_some_and(|end| end == "json");
        if is_json && entry.file_type()?.is_file() {
            // It may have become a link or a pipe meanwhile.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            let flags = i32::try_from(flags.bits()).unwrap_or(0);
            let file = File::options()
                .read(true)
                .custom_flags(flags)
                .open(entry.path())?;
            file.take(MAX_FILE).read_to_end(&mut bytes)?;
            total += bytes.len() as u64;
            if total > MAX_TOTAL {
                return Err(io::Error::other("what it wrote is larger than 256 MiB"));
            }
        } else if is_json {
            continue;
        }
        files.push(OutputFile { path, bytes });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_others_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("sbom.spdx.json"), "{}").unwrap();
        std::fs::write(at("notes.txt"), "long").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("link.spdx.json")).unwrap();
        std::fs::create_dir(at("dir.spdx.json")).unwrap();
        let mut files = collect(dir.path()).unwrap();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let found: Vec<(&str, usize)> = files
            .iter()
            .map(|file| (file.path.as_str(), file.bytes.len()))
            .collect();
        assert_eq!(found, [("notes.txt", 0), ("sbom.spdx.json", 2)]);
    }
}
