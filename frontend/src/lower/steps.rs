//! Stages and their steps to vertices.

use super::inputs::Sources;
use crate::diagnostic::Diagnostic;
use crate::pins::{ImageNeed, Pins};
use crate::plan::{Base, CopyStep, Input, Link, Plan, PlannedStage, Step, StepAction, pinned_name};
use acetate_graph::{
    CopyAction, Edge, FileAction, FileOp, GraphBuilder, MkdirAction, Op, Origin, VertexId,
    VertexMeta,
};
use std::sync::Arc;

/// The graph under construction.
#[derive(Debug)]
pub(super) struct Lowering<'a> {
    pub(super) builder: GraphBuilder,
    /// The result of each stage; none is scratch.
    pub(super) outputs: Vec<Option<Edge>>,
    /// The vertex of each step of each stage.
    pub(super) layers: Vec<Vec<VertexId>>,
    pub(super) sources: Sources,
    pub(super) plan: &'a Plan,
    pub(super) pins: &'a Pins,
    /// The names for `/etc/hosts`, sorted, each once.
    pub(super) host_names: Vec<String>,
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
            sources: Sources::default(),
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
            Base::Context {
                name,
                files,
                origin,
            } => self.base_context(name, files, origin)?,
        };
        let mut layers = Vec::with_capacity(stage.steps.len());
        for step in &stage.steps {
            let vertex = match &step.action {
                StepAction::Run(run) => self.run(step, run, state, &stage.platform)?,
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
        let meta = match &stage.base_label {
            Some(label) => VertexMeta {
                name: label.name.clone(),
                origin: Some(label.origin.clone()),
                instruction: Some(Arc::clone(&label.instruction)),
                ..VertexMeta::default()
            },
            None => VertexMeta {
                name: format!("FROM {}", pinned_name(self.pins, need)),
                ..VertexMeta::default()
            },
        };
        self.image(need, meta)
    }

    fn base_context(
        &mut self,
        name: &str,
        files: &Input,
        origin: &Origin,
    ) -> Result<Option<Edge>, Diagnostic> {
        let Input::Selection(spec) = files else {
            return self.input(files, origin);
        };
        let name = format!("[context {name}] load from client");
        self.tree_of(spec, "/", name, origin).map(Some)
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
        // On nothing a linked copy is like any other.
        let link = copy.link.as_ref().zip(state);
        let base = if link.is_some() { None } else { state };
        // The base, if there is one, is input 0 and what is read comes behind it.
        let first = u32::from(base.is_some());
        let mut read: Vec<Edge> = Vec::new();
        let mut actions = Vec::with_capacity(copy.parts.len() + copy.files.len());
        for part in &copy.parts {
            let edge = match self.input(&part.input, &step.label.origin)? {
                Some(edge) => edge,
                None => self.nothing(),
            };
            actions.push(FileAction::Copy(CopyAction {
                input: first + place(&mut read, edge),
                ..part.action.clone()
            }));
        }
        actions.extend(copy.files.iter().cloned().map(FileAction::Mkfile));
        match link {
            None => Ok(self.file(base, read, actions, meta(step))),
            Some((link, state)) => Ok(self.linked(step, link, state, read, actions)),
        }
    }

    /// Makes the files on nothing and puts them on top of the state.
    fn linked(
        &mut self,
        step: &Step,
        link: &Link,
        state: Edge,
        mut read: Vec<Edge>,
        actions: Vec<FileAction>,
    ) -> VertexId {
        let accounts = link.names_owner.then(|| place(&mut read, state));
        let op = Op::File(FileOp {
            base: None,
            accounts,
            actions,
        });
        let files = self.builder.add(op, read, meta(step));
        let meta = VertexMeta {
            name: link.name.clone(),
            ..meta(step)
        };
        let inputs = vec![state, Edge::first(files)];
        self.builder.add(Op::Merge, inputs, meta)
    }

    /// A stage without any layer, as something that can be read.
    fn nothing(&mut self) -> Edge {
        let meta = VertexMeta {
            name: "[internal] empty stage".to_owned(),
            ..VertexMeta::default()
        };
        Edge::first(self.file(None, Vec::new(), Vec::new(), meta))
    }

    pub(super) fn file(
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
}

/// The number of an edge among those that are read, which is added where it is new.
fn place(read: &mut Vec<Edge>, edge: Edge) -> u32 {
    let found = read.iter().position(|known| *known == edge);
    let idx = found.unwrap_or_else(|| {
        read.push(edge);
        read.len() - 1
    });
    u32::try_from(idx).unwrap_or(u32::MAX)
}

pub(super) fn meta(step: &Step) -> VertexMeta {
    VertexMeta {
        name: step.label.name.clone(),
        origin: Some(step.label.origin.clone()),
        instruction: Some(Arc::clone(&step.label.instruction)),
        no_cache: step.no_cache,
        ..VertexMeta::default()
    }
}
