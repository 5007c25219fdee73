//! What a plan is made of: names resolved, variables expanded, indices instead of names.

use crate::pins::{ImageNeed, SelectionSpec};
use crate::{Diagnostic, pins::Need};
use acetate_graph::{
    Archives, CopyOwner, CopySource, MkdirAction, MkfileAction, NetworkMode, Origin,
};
use acetate_oci::{HistoryEntry, ImageConfig, Platform};
use std::net::IpAddr;

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
    /// `SOURCE_DATE_EPOCH` in seconds. It is in no key: layers, config and history are clamped to
    /// it when they are written.
    pub epoch: Option<i64>,
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
}

/// What a stage starts from.
#[expect(
    clippy::large_enum_variant,
    reason = "one a stage, and images are the common case: a box would save nothing"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// The result of an earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageNeed),
}

/// How a step is shown and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLabel {
    /// Such as `[build 2/5] RUN make`.
    pub name: String,
    /// The lines of the instruction.
    pub origin: Origin,
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
    /// `NAME=value` in the order of first declaration: ENV and the ARGs in scope.
    pub env: Vec<String>,
    /// The working directory.
    pub cwd: String,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Which network it sees.
    pub network: NetworkMode,
    /// Proxy variables, which are in no key.
    pub proxy_env: Vec<String>,
    /// A file to put into [`RunStep::SCRIPT_DIR`] while it runs, read-only.
    pub script: Option<Script>,
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

/// Files to copy or to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// Where paths are taken from; none when there are only heredocs.
    pub input: Option<CopyInput>,
    /// What is copied, in order; empty exactly when there is no input.
    pub sources: Vec<CopySource>,
    /// Where to, absolute.
    pub dest: String,
    /// Who owns what is copied.
    pub owner: CopyOwner,
    /// The mode of what is copied; none keeps it.
    pub mode: Option<String>,
    /// What happens to archives.
    pub archives: Archives,
    /// The heredocs, written after the copies.
    pub files: Vec<MkfileAction>,
}

/// Where a copy takes its paths from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyInput {
    /// Selected files of a context.
    Selection(SelectionSpec),
    /// A stage.
    Stage(StageId),
    /// An image that no stage starts from here.
    Image(ImageNeed),
}
