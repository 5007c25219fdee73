//! Walks the instructions of every reachable stage, in order, and collects what they do.

use super::created_by::COMMENT;
use super::labels::Numbering;
use super::model::{
    Base, PlannedHistory, PlannedStage, PlannedTarget, StageId, Step, StepAction, StepLabel,
};
use super::resolve::{Instance, Origin, Reached};
use super::scans::ScanArgs;
use super::scope::{Declared, Expander, Scope};
use super::stages::StageTable;
use super::triggers::Item;
use super::wanted::{self, Wanted};
use super::written::ArgNames;
use super::{Findings, created_by, env, path};
use crate::ast::{Escape, InstructionKind};
use crate::checks::Ignored;
use crate::diagnostic::Diagnostic;
use crate::pins::{ImageNeed, ImageSource, PinnedImage, Pins};
use crate::request::PlanRequest;
use crate::span::{LineRange, Span};
use acetate_graph::SecretEnv;
use acetate_oci::{HistoryEntry, ImageConfig, Platform, RootFs};
use std::collections::BTreeMap;

/// What every part of the walk reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ctx<'a> {
    pub(super) table: &'a StageTable<'a>,
    pub(super) request: &'a PlanRequest,
    pub(super) pins: &'a Pins,
    pub(super) reached: &'a Reached<'a>,
    pub(super) escape: Escape,
    /// Whether steps are shown with their platforms.
    pub(super) multi_platform: bool,
    /// The ignore file of the main context, when there is something to say about it.
    pub(super) ignored: Option<&'a Ignored>,
}

impl Ctx<'_> {
    /// Names lines of the Dockerfile.
    pub(super) fn origin(&self, lines: LineRange) -> acetate_graph::Origin {
        acetate_graph::Origin {
            file: self.request.file.clone(),
            first_line: lines.first,
            last_line: lines.last,
        }
    }
}

/// What the walk ends with.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) stages: Vec<PlannedStage>,
    pub(super) targets: Vec<PlannedTarget>,
}

/// Walks all reachable stages. Every image must be pinned.
pub(super) fn walk(
    ctx: &Ctx<'_>,
    findings: &mut Findings,
    wanted: &mut Wanted,
) -> Result<Walked, Diagnostic> {
    let n_instances = ctx.reached.instances.len();
    let mut ids = vec![StageId(0); n_instances];
    let mut stages = Vec::with_capacity(n_instances);
    let mut states: Vec<State> = Vec::with_capacity(n_instances);
    for &idx in &ctx.reached.order {
        let instance = &ctx.reached.instances[idx];
        let state = State::start(ctx, instance, &ids, &states)?;
        let mut walk = Walk::new(ctx, instance, state, &ids, findings, wanted);
        walk.warn_of_platform();
        let base = walk.base();
        let base_label = walk.base_label();
        for item in &instance.items {
            walk.item(item).map_err(|error| item.relocate(error))?;
        }
        let Walk {
            state,
            steps,
            history,
            args,
            ..
        } = walk;
        ids[idx] = StageId(stages.len());
        states.push(state);
        stages.push(PlannedStage {
            name: ctx.table.label(instance.stage),
            platform: instance.platform.clone(),
            base,
            base_label,
            steps,
            history,
            scan: ScanArgs::of(&ctx.reached.globals[instance.target], &args),
        });
    }
    let targets = ctx
        .reached
        .roots
        .iter()
        .zip(ctx.request.target_platforms())
        .map(|(&root, platform)| {
            let stage = ids[root];
            let config = finish(states[stage.0].config.clone(), ctx.request, platform);
            PlannedTarget {
                platform: platform.clone(),
                stage,
                config,
            }
        });
    Ok(Walked {
        targets: targets.collect(),
        stages,
    })
}

/// What fields of a config begin with in which images carry cache records, our own and BuildKit's.
const CACHE_FIELDS: [&str; 2] = ["acetate.cache.", "moby.buildkit.cache."];

/// Applies what the request says about the result: labels last, the platform if it was named.
fn finish(mut config: ImageConfig, request: &PlanRequest, platform: &Platform) -> ImageConfig {
    for (key, value) in &request.labels {
        config.config.labels.insert(key.clone(), value.clone());
    }
    if !request.platforms.is_empty() {
        platform.os.clone_into(&mut config.os);
        if config.architecture != platform.architecture || platform.variant.is_some() {
            config.variant.clone_from(&platform.variant);
        }
        platform.architecture.clone_into(&mut config.architecture);
    }
    config
}

/// What an instruction leaves for the next, and a stage for its children.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The variables that RUN sees: ENV and ARG, whichever came last (S13).
    pub(super) scope: Scope,
    /// The config so far, without layers and history.
    pub(super) config: ImageConfig,
    /// Whether the file has a WORKDIR up to here, be it in a stage below.
    pub(super) has_workdir: bool,
}

impl State {
    fn start(
        ctx: &Ctx<'_>,
        instance: &Instance<'_>,
        ids: &[StageId],
        states: &[Self],
    ) -> Result<Self, Diagnostic> {
        let mut state = match &instance.base {
            Origin::Stage(base) => states[ids[*base].0].clone(),
            Origin::Image(need) => Self::of_image(pinned(ctx.pins, need)?),
            Origin::Scratch | Origin::Local(_) | Origin::Remote(_) => {
                Self::of_scratch(&instance.platform)
            }
        };
        if instance.replaced {
            return Ok(state);
        }
        // Triggers are consumed by the first child (S99).
        state.config.config.on_build.clear();
        if instance.platform.os != "windows" && !env::contains(&state.config.config.env, "PATH") {
            env::set(&mut state.config.config.env, "PATH", env::DEFAULT_PATH);
        }
        // A child starts from the config of its base: there ENV beats an ARG of the same name.
        for entry in &state.config.config.env {
            let (name, value) = env::split(entry);
            state.scope.set(name, value);
        }
        Ok(state)
    }

    fn of_image(image: &PinnedImage) -> Self {
        let mut config = image.config.clone();
        config.created = None;
        config.rootfs = RootFs::default();
        config.history = Vec::new();
        // Records of caches that other images carry are about those.
        let carries = |field: &str| CACHE_FIELDS.iter().any(|start| field.starts_with(start));
        config.extra.retain(|field, _| !carries(field));
        Self {
            scope: Scope::default(),
            config,
            has_workdir: false,
        }
    }

    fn of_scratch(platform: &Platform) -> Self {
        let mut config = ImageConfig::scratch(platform);
        "/".clone_into(&mut config.config.working_dir);
        Self {
            scope: Scope::default(),
            config,
            has_workdir: false,
        }
    }

    /// The working directory, absolute.
    pub(super) fn workdir(&self) -> String {
        path::join("/", &self.config.config.working_dir)
    }

    /// The words of a shell form.
    pub(super) fn with_shell(&self, text: &str) -> Vec<String> {
        let shell = self
            .config
            .config
            .shell
            .as_deref()
            .filter(|shell| !shell.is_empty());
        let mut argv = match shell {
            Some(shell) => shell.to_vec(),
            None => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        };
        argv.push(text.to_owned());
        argv
    }
}

/// Finds a pin that resolving made sure of.
fn pinned<'p>(pins: &'p Pins, need: &ImageNeed) -> Result<&'p PinnedImage, Diagnostic> {
    pins.images.get(need).ok_or_else(|| {
        Diagnostic::error(
            "unpinned",
            format!("image `{}` is not pinned", image_name(need)),
        )
    })
}

/// What messages call an image.
pub(super) fn image_name(need: &ImageNeed) -> String {
    match &need.source {
        ImageSource::Registry(reference) => reference.to_string(),
        ImageSource::Context(name) => name.clone(),
    }
}

/// The walk through one stage.
#[derive(Debug)]
pub(super) struct Walk<'w, 'a> {
    pub(super) ctx: &'w Ctx<'a>,
    pub(super) instance: &'w Instance<'a>,
    pub(super) ids: &'w [StageId],
    pub(super) state: State,
    pub(super) wanted: &'w mut Wanted,
    /// The ARGs of this stage as declared, for history; a child starts with none.
    pub(super) args: Declared,
    /// How history shows them, until a variable is set.
    pub(super) shown_args: Option<String>,
    /// The names that are ARGs, as the last instruction saw them.
    pub(super) arg_names: ArgNames,
    /// Whether this stage has set CMD, so that ENTRYPOINT leaves it.
    pub(super) has_cmd: bool,
    findings: &'w mut Findings,
    numbering: Numbering,
    no_cache: bool,
    steps: Vec<Step>,
    history: Vec<PlannedHistory>,
    seen: BTreeMap<&'static str, Span>,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn new(
        ctx: &'w Ctx<'a>,
        instance: &'w Instance<'a>,
        state: State,
        ids: &'w [StageId],
        findings: &'w mut Findings,
        wanted: &'w mut Wanted,
    ) -> Self {
        let label = ctx.table.label(instance.stage);
        let filtered = ctx
            .request
            .no_cache_filter
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&label));
        Self {
            ctx,
            instance,
            ids,
            state,
            wanted,
            args: Declared::default(),
            shown_args: None,
            arg_names: ArgNames::default(),
            has_cmd: false,
            findings,
            numbering: Numbering::new(ctx, instance),
            no_cache: ctx.request.no_cache || filtered,
            steps: Vec::with_capacity(instance.items.len()),
            history: Vec::with_capacity(instance.items.len()),
            seen: BTreeMap::new(),
        }
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), Diagnostic> {
        match &item.instruction.kind {
            InstructionKind::Run(run) => self.run(item, run),
            InstructionKind::Copy(copy) => self.copy(item, copy),
            InstructionKind::Add(add) => self.add(item, add),
            InstructionKind::Workdir(path) => self.workdir(item, path),
            _ => self.metadata(item),
        }
    }

    /// An expander over the variables as they are now.
    pub(super) fn expander(&self) -> Expander<'_> {
        Expander::new(&self.state.scope, self.ctx.escape)
    }

    /// How history shows the ARGs of this stage, with their values as they are now.
    pub(super) fn shown_args(&mut self) -> &str {
        let shown = || created_by::args(&self.args, &self.state.scope);
        self.shown_args.get_or_insert_with(shown)
    }

    /// Warns of variables that were missing. A declared ARG without a value is no mistake.
    pub(super) fn warn_unset(&mut self, item: &Item<'_>, unset: Vec<(String, Span)>) {
        for (name, span) in unset {
            if self.args.contains(&name) {
                continue;
            }
            let message = format!("Usage of undefined variable '${name}'");
            let mut warning = Diagnostic::warning("UndefinedVar", message).at(span);
            // Of names this short every other one is close.
            let known = self.state.scope.names().filter(|_| name.len() > 2);
            if let Some(close) = crate::did_you_mean(&name, known) {
                warning.message.push_str(" (did you mean $");
                warning.message.push_str(close);
                warning.message.push_str("?)");
            }
            self.warn(item, warning);
        }
    }

    /// Reports a warning at its place in the Dockerfile.
    pub(super) fn warn(&mut self, item: &Item<'_>, warning: Diagnostic) {
        self.findings.warn(item.relocate(warning));
    }

    /// Warns from the second instruction of a kind that counts only once.
    pub(super) fn once(&mut self, item: &Item<'_>, keyword: &'static str) {
        if item.is_trigger {
            return;
        }
        if let Some(earlier) = self.seen.insert(keyword, item.instruction.span) {
            let message = format!(
                "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
            );
            let warning = Diagnostic::warning("MultipleInstructionsDisallowed", message);
            self.warn(item, warning.at(earlier));
        }
    }

    /// Adds a step and its line of history.
    pub(super) fn step(
        &mut self,
        item: &Item<'_>,
        name: &str,
        created_by: String,
        action: StepAction,
    ) {
        let label = StepLabel {
            name: self.numbering.next(name),
            origin: self.ctx.origin(item.lines()),
            instruction: self.written(item),
        };
        let step = self.steps.len();
        self.steps.push(Step {
            label,
            no_cache: self.no_cache,
            action,
        });
        self.push_history(created_by, Some(step));
    }

    /// Adds a line of history for what makes no layer.
    pub(super) fn note(&mut self, created_by: String) {
        self.push_history(created_by, None);
    }

    /// Passes over a number: the instruction was counted but makes no step.
    pub(super) fn skip_number(&mut self) {
        self.numbering.next("");
    }

    fn push_history(&mut self, created_by: String, step: Option<usize>) {
        let entry = HistoryEntry {
            created_by,
            comment: COMMENT.to_owned(),
            empty_layer: step.is_none(),
            ..HistoryEntry::default()
        };
        self.history.push(PlannedHistory { entry, step });
    }

    /// What the next step would be called.
    pub(super) fn peek_name(&self, text: &str) -> String {
        self.numbering.peek(text)
    }

    /// The instruction as written, keyword in capitals, known variables filled in (S6).
    pub(super) fn display_name(&self, item: &Item<'_>) -> String {
        display(item, "", &self.expander())
    }

    /// The same with something in front of the keyword.
    pub(super) fn prefixed_name(&self, item: &Item<'_>, prefix: &str) -> String {
        display(item, prefix, &self.expander())
    }

    /// The same with variables that hold secrets masked (S70).
    pub(super) fn masked_name(&self, item: &Item<'_>, secrets: &[SecretEnv]) -> String {
        if secrets.is_empty() {
            return self.display_name(item);
        }
        let mut scope = self.state.scope.clone();
        for secret in secrets {
            scope.set(&secret.name, "****");
        }
        display(item, "", &Expander::new(&scope, self.ctx.escape))
    }

    /// What the stage starts from.
    fn base(&mut self) -> Base {
        let (name, input) = match &self.instance.base {
            Origin::Scratch => return Base::Scratch,
            Origin::Stage(instance) => return Base::Stage(self.ids[*instance]),
            Origin::Image(need) => return Base::Image(need.clone()),
            Origin::Local(name) => (name, wanted::whole(name)),
            Origin::Remote(name) => (name, wanted::fetched(name)),
        };
        let def = &self.ctx.table.stages[self.instance.stage];
        self.wanted.want(&input, def.from.image.span);
        Base::Context {
            name: name.clone(),
            files: input,
            origin: self.ctx.origin(def.instruction.lines),
        }
    }

    fn base_label(&mut self) -> Option<StepLabel> {
        let Origin::Image(need) = &self.instance.base else {
            return None;
        };
        let def = &self.ctx.table.stages[self.instance.stage];
        let name = format!("FROM {}", pinned_name(self.ctx.pins, need));
        let origin = self.ctx.origin(def.instruction.lines);
        Some(StepLabel {
            name: self.numbering.next(&name),
            origin,
            instruction: self.written_from(),
        })
    }

    fn warn_of_platform(&mut self) {
        let Origin::Image(need) = &self.instance.base else {
            return;
        };
        let Some(image) = self.ctx.pins.images.get(need) else {
            return;
        };
        let (have, want) = (image.config.platform(), &self.instance.platform);
        if have.architecture.is_empty() || have.satisfies(want) {
            return;
        }
        let name = &self.instance.base_name;
        let message = format!(
            "Base image {name} was pulled with platform \"{have}\", expected \"{want}\" for current build"
        );
        let span = self.ctx.table.stages[self.instance.stage].from.image.span;
        self.findings
            .warn(Diagnostic::warning("InvalidBaseImagePlatform", message).at(span));
    }
}

/// An instruction for display: `ONBUILD RUN make`.
fn display(item: &Item<'_>, prefix: &str, expander: &Expander<'_>) -> String {
    let instruction = &item.instruction;
    let rest = instruction
        .original
        .get(instruction.keyword.value.len()..)
        .unwrap_or_default();
    let text = expander.display(rest);
    let trigger = if item.is_trigger { "ONBUILD " } else { "" };
    format!("{trigger}{prefix}{}{text}", instruction.name())
}

/// An image with the digest it was resolved to.
pub(crate) fn pinned_name(pins: &Pins, need: &ImageNeed) -> String {
    let name = image_name(need);
    match (&need.source, pins.images.get(need)) {
        (ImageSource::Registry(reference), Some(image)) if reference.digest().is_none() => {
            format!("{name}@{}", image.manifest)
        }
        _ => name,
    }
}
