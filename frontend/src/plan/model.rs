//! What a plan is made of: names resolved, variables expanded, indices instead of names.

use super::scans::ScanArgs;
use crate::pins::{ImageNeed, RemoteNeed, SelectionSpec};
use crate::{Diagnostic, pins::Need};
use acetate_graph::{
    CacheSharing, CopyAction, Device, Env, Instruction, MkdirAction, MkfileAction, MountAccess,
    NetworkMode, Origin, Resources, SecretEnv, SecretMount, SecurityMode,
};
use acetate_oci::{HistoryEntry, ImageConfig, Platform};
use std::net::IpAddr;
use std::sync::Arc;

/// What planning ends with.
#[derive(Debug, Clone)]
pub enum Planned {
    /// These facts are missing; plan again when they are pinned. Sorted, each once, never empty.
    Needs(Vec<Need>),
    /// All that is to be done.
    Plan(Plan),
}

/// All that is to be done, stage by stage.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The reachable stages; whatever a stage refers to stands before it.
    pub stages: Vec<PlannedStage>,
    /// The images wanted, one a platform, in the order asked for.
    pub targets: Vec<PlannedTarget>,
    /// The host name of RUN steps, if not the default.
    pub hostname: Option<String>,
    /// Lines for `/etc/hosts` of RUN steps.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Limits of every RUN step: `name=soft:hard`, sorted.
    pub ulimits: Vec<String>,
    /// The size of `/dev/shm` of every RUN step in bytes, if not the default.
    pub shm_size: Option<u64>,
    /// What every RUN step may use up.
    pub resources: Resources,
    /// Whether an index is to be made even of one image (S106).
    pub multi_platform: bool,
    /// `SOURCE_DATE_EPOCH` in seconds. It is in no key: layers, config and history are clamped to
    /// it when they are written.
    pub epoch: Option<i64>,
    /// What lowering needs beside the images and the pins did not hold: files and fetches, sorted,
    /// each once. Only [`draft`](super::draft) leaves some.
    pub needs: Vec<Need>,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// The place of a stage in [`Plan::stages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(crate) usize);

/// An image that is wanted.
#[derive(Debug, Clone)]
pub struct PlannedTarget {
    /// For which platform.
    pub platform: Platform,
    /// Its last stage.
    pub stage: StageId,
    /// Its config with labels and platform applied; layers and history of the base are not in it.
    pub config: ImageConfig,
}

/// One stage on one platform.
#[derive(Debug, Clone)]
pub struct PlannedStage {
    /// The name that messages use: as written, or `stage-1`.
    pub name: String,
    /// What its steps run on.
    pub platform: Platform,
    /// What it starts from.
    pub base: Base,
    /// How bringing in the base image is shown; none when there is no image to bring in.
    pub base_label: Option<StepLabel>,
    /// What it does.
    pub steps: Vec<Step>,
    /// What it adds to the history of its base.
    pub history: Vec<PlannedHistory>,
    /// What it says of scans for an SBOM.
    pub scan: ScanArgs,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// The result of an earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageNeed),
    /// All files of a named context, owned by root where they come from a local directory.
    Context {
        /// Its key in the request.
        name: String,
        /// Its files.
        files: Input,
        /// The line that asks for it.
        origin: Origin,
    },
}

/// How a step is shown and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLabel {
    /// Such as `[build 2/5] RUN make`.
    pub name: String,
    /// The lines of the instruction.
    pub origin: Origin,
    /// The instruction as written.
    pub instruction: Arc<Instruction>,
}

/// A line of history and the step that made its layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedHistory {
    /// The line, without a time.
    pub entry: HistoryEntry,
    /// An index into [`PlannedStage::steps`]; none for what makes no layer.
    pub step: Option<usize>,
}

/// An instruction that makes a layer.
#[derive(Debug, Clone)]
pub struct Step {
    /// How it is shown.
    pub label: StepLabel,
    /// Whether it always runs.
    pub no_cache: bool,
    /// What it does.
    pub action: StepAction,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepAction {
    /// RUN.
    Run(RunStep),
    /// COPY and ADD.
    Copy(CopyStep),
    /// WORKDIR.
    Mkdir(MkdirAction),
}

/// A process to run on the stage's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value` in the order of first declaration: ENV and the ARGs in scope, and the socket of
    /// an SSH agent.
    pub env: Env,
    /// The working directory.
    pub cwd: String,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Which network it sees.
    pub network: NetworkMode,
    /// What the sandbox allows.
    pub security: SecurityMode,
    /// Proxy variables, which are in no key.
    pub proxy_env: Vec<String>,
    /// A file to put into [`RunStep::SCRIPT_DIR`] while it runs, read-only.
    pub script: Option<Script>,
    /// What is mounted beside the root and the script, in the order written.
    pub mounts: Vec<RunMount>,
    /// Secrets that become variables, in the order written.
    pub secret_env: Vec<SecretEnv>,
    /// Devices, in the order written.
    pub devices: Vec<Device>,
}

impl RunStep {
    /// Where a heredoc that is a program of its own is found while it runs.
    pub const SCRIPT_DIR: &str = "/dev/pipes";
}

/// A heredoc that starts with `#!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name below [`RunStep::SCRIPT_DIR`].
    pub name: String,
    /// Its text.
    pub content: String,
}

/// One `--mount` of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    /// Where, absolute and not the root.
    pub target: String,
    /// The path within the source, without a leading slash; empty is all of it. For a selection it
    /// is the one source that was selected.
    pub selector: String,
    /// What.
    pub source: RunMountSource,
    /// Whether it can be written, and what becomes of that.
    pub access: MountAccess,
}

/// What a `--mount` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunMountSource {
    /// Files that are there already.
    Bind(Input),
    /// A directory that outlives the build.
    Cache(RunCache),
    /// Memory.
    Tmpfs {
        /// Its size in bytes.
        size: Option<u64>,
    },
    /// A secret as a file.
    Secret(SecretMount),
    /// The socket of an SSH agent.
    Ssh(SecretMount),
}

/// A cache mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCache {
    /// The name that mounts share it by.
    pub id: String,
    /// What happens when several steps want it at the same time.
    pub sharing: CacheSharing,
    /// What a new directory begins with.
    pub base: Input,
    /// The mode of a directory that begins empty.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Files to copy or to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// What is copied, in order; none when there are only heredocs.
    pub parts: Vec<CopyPart>,
    /// The heredocs, written after the copies.
    pub files: Vec<MkfileAction>,
    /// `--link`: the files become a layer that does not depend on what is below it.
    pub link: Option<Link>,
}

/// What is copied out of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPart {
    /// Where paths are taken from.
    pub input: Input,
    /// What is done; the number of its input is set when it is lowered.
    pub action: CopyAction,
}

/// A layer that is put on top of the state instead of being written onto it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// How putting it there is shown.
    pub name: String,
    /// Whether an owner is given by name, so that the state's accounts are looked at.
    pub names_owner: bool,
}

/// Files that a step reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// None at all.
    Empty,
    /// Selected files of a local context.
    Selection(SelectionSpec),
    /// What a stage made.
    Stage(StageId),
    /// An image that no stage starts from here.
    Image(ImageNeed),
    /// A file, a repository or a context that is fetched.
    Remote(RemoteNeed),
}
