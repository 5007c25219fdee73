//! Steps to vertices.

use crate::diagnostic::Diagnostic;
use crate::pins::{ImageNeed, PinnedImage, Pins, SelectionSpec};
use crate::plan::{
    Base, CopyInput, CopyStep, Plan, PlannedStage, RunStep, Script, Step, StepAction, pinned_name,
};
use acetate_graph::{
    CopyAction, Edge, ExecOp, FileAction, FileOp, GraphBuilder, MkdirAction, MkfileAction, Mount,
    MountAccess, MountSource, Op, Origin, SecurityMode, SourceLocation, SourceOp, VertexId,
    VertexMeta,
};
use acetate_oci::{Platform, Timestamp};
use std::collections::BTreeMap;

/// The graph under construction.
#[derive(Debug)]
pub(super) struct Lowering<'a> {
    pub(super) builder: GraphBuilder,
    /// The result of each stage; none is scratch.
    pub(super) outputs: Vec<Option<Edge>>,
    /// The vertex of each step of each stage.
    pub(super) layers: Vec<Vec<VertexId>>,
    pub(super) selections: Vec<SelectionSpec>,
    pub(super) images: Vec<ImageNeed>,
    selection_idx: BTreeMap<SelectionSpec, u32>,
    image_idx: BTreeMap<ImageNeed, u32>,
    plan: &'a Plan,
    pins: &'a Pins,
    /// The names for `/etc/hosts`, sorted, each once.
    host_names: Vec<String>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(plan: &'a Plan, pins: &'a Pins) -> Self {
        let mut host_names: Vec<String> = plan
            .extra_hosts
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        host_names.sort();
        host_names.dedup();
        Self {
            builder: GraphBuilder::new(),
            outputs: Vec::with_capacity(plan.stages.len()),
            layers: Vec::with_capacity(plan.stages.len()),
            selections: Vec::new(),
            images: Vec::new(),
            selection_idx: BTreeMap::new(),
            image_idx: BTreeMap::new(),
            plan,
            pins,
            host_names,
        }
    }

    /// Adds the steps of a stage; the stages that it refers to must have been added.
    pub(super) fn stage(&mut self, stage: &PlannedStage) -> Result<(), Diagnostic> {
        let mut state = match &stage.base {
            Base::Scratch => None,
            Base::Stage(base) => self.outputs[base.0],
            Base::Image(need) => Some(self.base_image(need, stage)?),
        };
        let mut layers = Vec::with_capacity(stage.steps.len());
        for step in &stage.steps {
            let vertex = match &step.action {
                StepAction::Run(run) => self.run(step, run, state, &stage.platform),
                StepAction::Copy(copy) => self.copy(step, copy, state)?,
                StepAction::Mkdir(mkdir) => self.mkdir(step, mkdir, state),
            };
            layers.push(vertex);
            state = Some(Edge::first(vertex));
        }
        self.outputs.push(state);
        self.layers.push(layers);
        Ok(())
    }

    fn base_image(&mut self, need: &ImageNeed, stage: &PlannedStage) -> Result<Edge, Diagnostic> {
        let (name, origin) = match &stage.base_label {
            Some(label) => (label.name.clone(), Some(label.origin.clone())),
            None => (format!("FROM {}", pinned_name(self.pins, need)), None),
        };
        self.image(need, name, origin)
    }

    fn image(
        &mut self,
        need: &ImageNeed,
        name: String,
        origin: Option<Origin>,
    ) -> Result<Edge, Diagnostic> {
        let image = pinned(self.pins, need)?;
        let op = Op::Source(SourceOp::Image {
            manifest: image.manifest,
            platform: need.platform.clone(),
        });
        let location = Some(locate(&mut self.images, &mut self.image_idx, need));
        let meta = VertexMeta {
            name,
            origin,
            location,
            ..VertexMeta::default()
        };
        Ok(Edge::first(self.builder.add(op, Vec::new(), meta)))
    }

    fn selection(&mut self, spec: &SelectionSpec, origin: &Origin) -> Result<Edge, Diagnostic> {
        let digest = self.pins.selections.get(spec).ok_or_else(|| {
            let files = spec.sources.join(" ");
            Diagnostic::error("unpinned", format!("the files `{files}` are not pinned"))
        })?;
        let context = match spec.context.as_str() {
            "" => "build context",
            name => name,
        };
        let name = format!("[internal] load {context}: {}", spec.sources.join(" "));
        let location = Some(locate(&mut self.selections, &mut self.selection_idx, spec));
        let meta = VertexMeta {
            name,
            origin: Some(origin.clone()),
            location,
            ..VertexMeta::default()
        };
        let op = Op::Source(SourceOp::Local { selection: *digest });
        Ok(Edge::first(self.builder.add(op, Vec::new(), meta)))
    }

    fn mkdir(&mut self, step: &Step, mkdir: &MkdirAction, state: Option<Edge>) -> VertexId {
        self.file(
            state,
            Vec::new(),
            vec![FileAction::Mkdir(mkdir.clone())],
            meta(step),
        )
    }

    fn copy(
        &mut self,
        step: &Step,
        copy: &CopyStep,
        state: Option<Edge>,
    ) -> Result<VertexId, Diagnostic> {
        let input = match &copy.input {
            None => None,
            Some(CopyInput::Selection(spec)) => Some(self.selection(spec, &step.label.origin)?),
            Some(CopyInput::Stage(id)) => Some(match self.outputs[id.0] {
                Some(edge) => edge,
                None => self.nothing(),
            }),
            Some(CopyInput::Image(need)) => {
                let name = format!("FROM {}", pinned_name(self.pins, need));
                Some(self.image(need, name, Some(step.label.origin.clone()))?)
            }
        };
        // The base, if there is one, is input 0 and what is read comes behind it.
        let action = input.map(|_| {
            FileAction::Copy(CopyAction {
                input: u32::from(state.is_some()),
                sources: copy.sources.clone(),
                dest: copy.dest.clone(),
                owner: copy.owner.clone(),
                mode: copy.mode.clone(),
                archives: copy.archives,
                parents: false,
                excludes: Vec::new(),
            })
        });
        let files = copy.files.iter().cloned().map(FileAction::Mkfile);
        let actions = action.into_iter().chain(files).collect();
        Ok(self.file(state, input.into_iter().collect(), actions, meta(step)))
    }

    /// A stage without any layer, as something that can be read.
    fn nothing(&mut self) -> Edge {
        let meta = VertexMeta {
            name: "[internal] empty stage".to_owned(),
            ..VertexMeta::default()
        };
        Edge::first(self.file(None, Vec::new(), Vec::new(), meta))
    }

    fn file(
        &mut self,
        state: Option<Edge>,
        read: Vec<Edge>,
        actions: Vec<FileAction>,
        meta: VertexMeta,
    ) -> VertexId {
        let op = Op::File(FileOp {
            base: state.map(|_| 0),
            accounts: None,
            actions,
        });
        let inputs = state.into_iter().chain(read).collect();
        self.builder.add(op, inputs, meta)
    }

    fn run(
        &mut self,
        step: &Step,
        run: &RunStep,
        state: Option<Edge>,
        platform: &Platform,
    ) -> VertexId {
        let mut inputs: Vec<Edge> = state.into_iter().collect();
        let root = match state {
            Some(_) => MountSource::Input(0),
            None => MountSource::Scratch,
        };
        let mut mounts = vec![Mount {
            target: "/".to_owned(),
            source: root,
            selector: String::new(),
            access: MountAccess::ReadWrite,
            output: Some(0),
        }];
        if let Some(script) = &run.script {
            let index = u32::from(state.is_some());
            inputs.push(self.script(script, &step.label.origin));
            mounts.push(Mount {
                target: RunStep::SCRIPT_DIR.to_owned(),
                source: MountSource::Input(index),
                selector: String::new(),
                access: MountAccess::ReadOnly,
                output: None,
            });
        }
        let op = Op::Exec(ExecOp {
            argv: run.argv.clone(),
            env: run.env.clone(),
            cwd: run.cwd.clone(),
            user: run.user.clone(),
            network: run.network,
            security: SecurityMode::Sandbox,
            hostname: self.plan.hostname.clone(),
            extra_hosts: self.host_names.clone(),
            ulimits: Vec::new(),
            shm_size: None,
            secret_env: Vec::new(),
            devices: Vec::new(),
            mounts,
            platform: platform.clone(),
        });
        let meta = VertexMeta {
            extra_hosts: self.plan.extra_hosts.clone(),
            proxy_env: run.proxy_env.clone(),
            ..meta(step)
        };
        self.builder.add(op, inputs, meta)
    }

    /// The file that a heredoc with an interpreter becomes. Its time is fixed, so that the layer below
    /// the mount is the same wherever it is made.
    fn script(&mut self, script: &Script, origin: &Origin) -> Edge {
        let action = FileAction::Mkfile(MkfileAction {
            name: script.name.clone(),
            dest: format!("/{}", script.name),
            content: script.content.clone().into_bytes(),
            mode: Some("0755".to_owned()),
            owner: String::new(),
            mtime: Some(Timestamp::new(0, 0)),
        });
        let meta = VertexMeta {
            name: "[internal] preparing inline document".to_owned(),
            origin: Some(origin.clone()),
            ..VertexMeta::default()
        };
        Edge::first(self.file(None, Vec::new(), vec![action], meta))
    }
}

fn meta(step: &Step) -> VertexMeta {
    VertexMeta {
        name: step.label.name.clone(),
        origin: Some(step.label.origin.clone()),
        no_cache: step.no_cache,
        ..VertexMeta::default()
    }
}

/// The place of a value in a list that holds each value once.
fn locate<T: Ord + Clone>(
    list: &mut Vec<T>,
    index: &mut BTreeMap<T, u32>,
    value: &T,
) -> SourceLocation {
    if let Some(&place) = index.get(value) {
        return SourceLocation(place);
    }
    let place = u32::try_from(list.len()).unwrap_or(u32::MAX);
    list.push(value.clone());
    index.insert(value.clone(), place);
    SourceLocation(place)
}

/// Finds a pin that the plan made sure of.
pub(super) fn pinned<'p>(pins: &'p Pins, need: &ImageNeed) -> Result<&'p PinnedImage, Diagnostic> {
    pins.images.get(need).ok_or_else(|| {
        Diagnostic::error(
            "unpinned",
            format!("image `{}` is not pinned", pinned_name(pins, need)),
        )
    })
}
