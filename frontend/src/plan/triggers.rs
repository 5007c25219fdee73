//! The instructions of a stage: its own, and the ONBUILD triggers of what it starts from.

use super::stages::StageDef;
use crate::ast::{Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use crate::parse_instruction;
use crate::span::{LineRange, Span};
use std::borrow::Cow;

/// An instruction that waits for a child.
#[derive(Debug, Clone)]
pub(super) struct Trigger<'a> {
    instruction: Cow<'a, Instruction>,
    /// True when its spans do not refer to the Dockerfile.
    from_image: bool,
}

impl<'a> Trigger<'a> {
    /// The triggers that a stage sets.
    pub(super) fn of_stage(def: &StageDef<'a>) -> Vec<Self> {
        let inner = def.body.iter().filter_map(|item| match &item.kind {
            InstructionKind::Onbuild(onbuild) => Some(&*onbuild.inner),
            _ => None,
        });
        inner
            .map(|inner| Self {
                instruction: Cow::Borrowed(inner),
                from_image: false,
            })
            .collect()
    }

    /// Reads a trigger of an image; `span` is where the Dockerfile names the image.
    pub(super) fn parse(text: &str, span: Span) -> Result<Self, Diagnostic> {
        let refused = |reason: &str| {
            let message = format!("ONBUILD trigger `{text}` of the base image: {reason}");
            Diagnostic::error("invalid-trigger", message).at(span)
        };
        let instruction = parse_instruction(text).map_err(|diagnostics| {
            let first = diagnostics
                .first()
                .map_or("it cannot be read", |d| d.message.as_str());
            refused(first)
        })?;
        match instruction.kind {
            InstructionKind::From(_)
            | InstructionKind::Maintainer(_)
            | InstructionKind::Onbuild(_) => Err(refused(&format!(
                "{} isn't allowed as an ONBUILD trigger",
                instruction.name()
            ))),
            _ => Ok(Self {
                instruction: Cow::Owned(instruction),
                from_image: true,
            }),
        }
    }
}

/// An instruction to be carried out.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// The instruction.
    pub(super) instruction: Cow<'a, Instruction>,
    /// Whether a trigger brought it.
    pub(super) is_trigger: bool,
    /// Where the FROM stands that brought it from an image.
    outside: Option<(Span, LineRange)>,
}

impl<'a> Item<'a> {
    /// What a stage does: the triggers, then its own body (S99).
    pub(super) fn of_stage(def: &StageDef<'a>, triggers: Vec<Trigger<'a>>) -> Vec<Self> {
        let place = (def.from.image.span, def.instruction.lines);
        let triggers = triggers.into_iter().map(|trigger| Self {
            instruction: trigger.instruction,
            is_trigger: true,
            outside: trigger.from_image.then_some(place),
        });
        let own = def.body.iter().map(|instruction| Self {
            instruction: Cow::Borrowed(instruction),
            is_trigger: false,
            outside: None,
        });
        triggers.chain(own).collect()
    }

    /// The place in the Dockerfile that stands for a place in the instruction.
    pub(super) fn place(&self, span: Span) -> Span {
        self.outside.map_or(span, |(from, _)| from)
    }

    /// The lines in the Dockerfile.
    pub(super) fn lines(&self) -> LineRange {
        self.outside
            .map_or(self.instruction.lines, |(_, lines)| lines)
    }

    /// Points a finding at the Dockerfile.
    pub(super) fn relocate(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        if let Some((from, _)) = self.outside {
            for label in &mut diagnostic.labels {
                label.span = from;
            }
            let note = format!("in the ONBUILD trigger `{}`", self.instruction.original);
            diagnostic.hint = Some(match diagnostic.hint {
                Some(hint) => format!("{note}; {hint}"),
                None => note,
            });
        }
        diagnostic
    }
}
