//! From a vertex to its story.

use super::listing;
use crate::pin::Pinned;
use acetate_cache::story::{
    Finders, Input, Nth, Part, Story, StoryInstruction, Value, Variable, of_op,
};
use acetate_frontend::{ImageNeed, ImageSource, RemoteNeed, SelectionSpec, checks, remote};
use acetate_graph::key::{UsePlace, domain, uses};
use acetate_graph::{
    BuildGraph, DownloadSource, Edge, GitSource, Instruction, Op, SourceOp, Vertex, VertexId,
    op_key,
};
use std::collections::BTreeMap;

/// Tells the stories of one graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Teller<'a> {
    pub(crate) graph: &'a BuildGraph,
    pub(crate) images: &'a [ImageNeed],
    pub(crate) selections: &'a [SelectionSpec],
    pub(crate) remotes: &'a [RemoteNeed],
    pub(crate) pinned: &'a Pinned,
}

impl Teller<'_> {
    /// The names that the stories of all instructions are found by.
    pub(crate) fn finders(&self) -> BTreeMap<VertexId, Finders> {
        let mut nth = Nth::default();
        let heads = self.graph.ids().filter_map(|id| Some((id, self.head(id)?)));
        heads.map(|(id, head)| (id, nth.finders(&head))).collect()
    }

    /// The story of a step; none for what no instruction asks for, and for sources.
    pub(crate) fn story(&self, id: VertexId) -> Option<Story> {
        let mut story = self.head(id)?;
        let vertex = self.graph.vertex(id);
        for usage in uses(vertex) {
            let Some(edge) = vertex.inputs.get(usage.input as usize) else {
                continue;
            };
            let name = match usage.place {
                UsePlace::Mount(0) | UsePlace::Base => "base".to_owned(),
                UsePlace::Mount(n) => format!("mount {n}"),
                UsePlace::Accounts => "accounts".to_owned(),
                UsePlace::Action(n) => format!("files {}", n + 1),
                UsePlace::Whole if usage.input == 0 => "base".to_owned(),
                UsePlace::Whole => format!("layer {}", usage.input),
            };
            self.parts(name, *edge, &mut story.inputs);
        }
        Some(story)
    }

    /// The steps that a step takes results of, through what no instruction asks for.
    pub(crate) fn steps_below(&self, id: VertexId) -> Vec<VertexId> {
        let mut found = Vec::new();
        let mut open: Vec<Edge> = self.graph.vertex(id).inputs.clone();
        open.reverse();
        while let Some(edge) = open.pop() {
            let vertex = self.graph.vertex(edge.vertex);
            if is_step(vertex) {
                found.push(edge.vertex);
            } else {
                open.extend(vertex.inputs.iter().rev());
            }
        }
        found
    }

    /// Everything of a story but its inputs.
    fn head(&self, id: VertexId) -> Option<Story> {
        let vertex = self.graph.vertex(id);
        let instruction = vertex
            .meta
            .instruction
            .as_ref()
            .filter(|_| is_step(vertex))?;
        Some(Story {
            key: *self.graph.key(id).digest(),
            format: format!("{} {}", domain::OP, domain::DEFINITION),
            salt: None,
            name: name(vertex, instruction),
            instruction: StoryInstruction {
                stage: instruction.stage.clone(),
                base: instruction.base.clone(),
                kind: kind(&vertex.op).to_owned(),
                text: instruction.text.clone(),
            },
            variables: variables(vertex, instruction),
            fields: of_op(&vertex.op),
            inputs: Vec::new(),
        })
    }

    fn parts(&self, usage: String, edge: Edge, parts: &mut Vec<Part>) {
        let vertex = self.graph.vertex(edge.vertex);
        let input = match (&vertex.op, &vertex.meta.instruction) {
            (Op::Source(source), instruction) => {
                self.source(vertex, source, instruction.as_deref())
            }
            (_, Some(instruction)) => Input::Step {
                name: name(vertex, instruction),
                key: *self.graph.key(edge.vertex).digest(),
            },
            // What only brings an input into another form is told by that input.
            (op, None) => {
                for (n, below) in vertex.inputs.iter().enumerate() {
                    let usage = if n == 0 {
                        usage.clone()
                    } else {
                        format!("{usage} {n}")
                    };
                    self.parts(usage, *below, parts);
                }
                let op = *op_key(op).digest();
                let usage = format!("{usage} form");
                parts.push(Part {
                    usage,
                    input: Input::Made { op },
                });
                return;
            }
        };
        parts.push(Part { usage, input });
    }

    fn source(&self, vertex: &Vertex, source: &SourceOp, from: Option<&Instruction>) -> Input {
        let n = vertex
            .meta
            .location
            .map_or(usize::MAX, |location| location.0 as usize);
        match source {
            SourceOp::Image { manifest, platform } => Input::Image {
                name: Value::plain(self.images.get(n).map(image_name).unwrap_or_default()),
                manifest: *manifest,
                platform: platform.to_string(),
                filled: from.map(filled).unwrap_or_default(),
            },
            SourceOp::Local { selection } => {
                let spec = self.selections.get(n);
                let found = spec.and_then(|spec| Some((spec, self.pinned.selections.get(spec)?)));
                Input::Files {
                    context: spec.map(|spec| spec.context.clone()).unwrap_or_default(),
                    digest: *selection,
                    listing: listing::of(found.map(|(spec, found)| (spec.flavour, &**found))),
                }
            }
            SourceOp::Download(download) => {
                let DownloadSource {
                    content,
                    name,
                    mtime,
                } = download;
                let mtime = mtime
                    .map(|mtime| format!(" of {mtime}"))
                    .unwrap_or_default();
                self.fetched(n, content.to_string(), format!("{name}{mtime}"))
            }
            SourceOp::Git(git) => {
                let GitSource {
                    commit,
                    subdir,
                    git_dir,
                    submodules,
                    commit_times,
                } = git;
                let kept = if git_dir.is_some() { " with .git" } else { "" };
                let modules = if *submodules { " with submodules" } else { "" };
                let times = if *commit_times { " with times" } else { "" };
                self.fetched(
                    n,
                    commit.clone(),
                    format!("/{subdir}{kept}{modules}{times}"),
                )
            }
        }
    }

    fn fetched(&self, n: usize, content: String, details: String) -> Input {
        let address = match self.remotes.get(n) {
            Some(RemoteNeed::Http { url, .. }) => remote::redacted(url).into_owned(),
            Some(RemoteNeed::Git(git)) => remote::redacted(&git.remote).into_owned(),
            Some(RemoteNeed::Context(name)) if !name.is_empty() => format!("context {name}"),
            Some(RemoteNeed::Context(_)) | None => "the context".to_owned(),
        };
        Input::Fetched {
            address: Value::plain(address),
            content,
            details,
        }
    }
}

/// A vertex that an instruction asks for and that is carried out.
pub(crate) fn is_step(vertex: &Vertex) -> bool {
    vertex.meta.instruction.is_some() && !matches!(vertex.op, Op::Source(_))
}

/// The name of a step with nothing filled in, on one line.
fn name(vertex: &Vertex, instruction: &Instruction) -> String {
    let shown = &vertex.meta.name;
    let end = shown
        .find("] ")
        .filter(|_| shown.starts_with('['))
        .map_or(0, |at| at + 2);
    let link = if vertex.op == Op::Merge { "LINK " } else { "" };
    let mut lines = instruction.text.lines();
    let first = lines.next().unwrap_or_default();
    let text = acetate_cache::story::excerpt(first, "");
    format!("{}{link}{text}", &shown[..end])
}

fn kind(op: &Op) -> &'static str {
    match op {
        Op::Source(_) => "source",
        Op::Exec(_) => "exec",
        Op::File(_) => "file",
        Op::Merge => "merge",
        Op::Diff => "diff",
    }
}

fn variables(vertex: &Vertex, instruction: &Instruction) -> Vec<Variable> {
    match &vertex.op {
        Op::Exec(exec) => exec
            .env
            .iter()
            .map(|line| line.split_once('=').unwrap_or((line, "")))
            .map(|(name, value)| variable(instruction, name, value))
            .collect(),
        _ => filled(instruction),
    }
}

fn filled(instruction: &Instruction) -> Vec<Variable> {
    let all = instruction.filled.iter();
    all.map(|(name, value)| variable(instruction, name, value))
        .collect()
}

/// A variable; of secrets and proxies only a digest is kept.
fn variable(instruction: &Instruction, name: &str, value: &str) -> Variable {
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    let value = if is_proxy || checks::means_secret(name) {
        Value::hidden(value)
    } else {
        Value::plain(value)
    };
    Variable {
        name: name.to_owned(),
        is_arg: instruction.args.iter().any(|arg| arg == name),
        value,
    }
}

fn image_name(need: &ImageNeed) -> String {
    match &need.source {
        ImageSource::Registry(reference) => reference.familiar(),
        ImageSource::Context(name) => name.clone(),
    }
}
