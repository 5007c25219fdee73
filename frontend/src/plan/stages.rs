//! The stages as written: which instructions belong to which stage, and what is global.

use crate::ast::{ArgDecl, Dockerfile, From, Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use std::collections::BTreeMap;

/// A Dockerfile cut at its FROMs.
#[derive(Debug)]
pub(super) struct StageTable<'a> {
    /// The ARGs in front of the first FROM.
    pub(super) globals: Vec<&'a ArgDecl>,
    /// The stages in order.
    pub(super) stages: Vec<StageDef<'a>>,
    /// The definitions of every name, ascending.
    by_name: BTreeMap<&'a str, Vec<usize>>,
}

/// A stage as written.
#[derive(Debug)]
pub(super) struct StageDef<'a> {
    /// The FROM line.
    pub(super) instruction: &'a Instruction,
    /// Its arguments.
    pub(super) from: &'a From,
    /// What follows it.
    pub(super) body: &'a [Instruction],
}

impl StageDef<'_> {
    /// The name given with AS, in lower case.
    pub(super) fn name(&self) -> Option<&str> {
        self.from.name.as_ref().map(|name| name.value.as_str())
    }
}

impl<'a> StageTable<'a> {
    /// Cuts the file; the error says what stands where it must not.
    pub(super) fn new(ast: &'a Dockerfile) -> Result<Self, Diagnostic> {
        let is_from = |item: &Instruction| matches!(item.kind, InstructionKind::From(_));
        let first = ast.items.iter().position(is_from).ok_or_else(|| {
            Diagnostic::error("no-stages", "dockerfile contains no stages to build")
                .with_hint("start with a line such as `FROM debian:stable-slim`")
        })?;
        let mut globals = Vec::new();
        for item in &ast.items[..first] {
            match &item.kind {
                InstructionKind::Arg(declarations) => globals.extend(declarations),
                _ => return Err(before_from(item)),
            }
        }
        let mut stages: Vec<StageDef<'a>> = Vec::new();
        let mut rest = &ast.items[first..];
        while let Some((head, tail)) = rest.split_first() {
            let end = tail.iter().position(is_from).unwrap_or(tail.len());
            if let InstructionKind::From(from) = &head.kind {
                stages.push(StageDef {
                    instruction: head,
                    from,
                    body: &tail[..end],
                });
            }
            rest = &tail[end..];
        }
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (idx, stage) in stages.iter().enumerate() {
            if let Some(name) = &stage.from.name {
                by_name.entry(&name.value).or_default().push(idx);
            }
        }
        Ok(Self {
            globals,
            stages,
            by_name,
        })
    }

    /// The stage that `name` means to stage `before`: the last definition in front of it, else the
    /// first one that is not (S19, S20).
    pub(super) fn find(&self, name: &str, before: usize) -> Option<usize> {
        let defined = self.by_name.get(name.to_lowercase().as_str())?;
        let earlier = defined.partition_point(|idx| *idx < before);
        defined.get(earlier.saturating_sub(1)).copied()
    }

    /// The stage to build: the last one of that name, or the last one of all.
    pub(super) fn target(&self, wanted: Option<&str>) -> Result<usize, Diagnostic> {
        let Some(wanted) = wanted.filter(|name| !name.is_empty()) else {
            return Ok(self.stages.len() - 1);
        };
        self.find(wanted, usize::MAX).ok_or_else(|| {
            let message = format!("target stage \"{wanted}\" could not be found");
            let names = self.by_name.keys().copied();
            Diagnostic::error("unknown-target", message).suggest(wanted, names)
        })
    }

    /// What messages call a stage: its name, or `stage-` and its number.
    pub(super) fn label(&self, idx: usize) -> String {
        self.stages[idx]
            .name()
            .map_or_else(|| format!("stage-{idx}"), str::to_owned)
    }

    /// Warns of every definition that hides an earlier one.
    pub(super) fn duplicates(&self) -> impl Iterator<Item = Diagnostic> {
        let names = self.by_name.iter().flat_map(move |(name, defined)| {
            defined
                .iter()
                .skip(1)
                .map(move |idx| (*name, self.stages[*idx].from))
        });
        names.filter_map(|(name, from)| {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            let span = from.name.as_ref()?.span;
            Some(Diagnostic::warning("DuplicateStageName", message).at(span))
        })
    }
}

fn before_from(item: &Instruction) -> Diagnostic {
    Diagnostic::error("no-build-stage", "no build stage in current context")
        .at(item.span)
        .with_hint("only ARG may stand in front of the first FROM")
}
