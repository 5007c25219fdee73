//! From the parts of a line to a typed instruction.

use super::head::{self, Head};
use super::heredoc::HeredocWord;
use super::{copying, payload};
use crate::ast::{Escape, Heredoc, Instruction, InstructionKind, Onbuild};
use crate::diagnostic::Diagnostic;
use crate::span::{LineRange, Span};

/// All keywords, for suggestions.
pub(super) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What is the same for all instructions of a file, and what is found on the way.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) escape: Escape,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// How far an instruction reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The byte behind it.
    pub(super) end: u32,
    pub(super) lines: LineRange,
}

/// Everything that a payload is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'i> {
    pub(super) head: &'i Head<'i>,
    pub(super) words: &'i [HeredocWord<'i>],
    pub(super) heredocs: &'i [Heredoc],
    pub(super) escape: Escape,
}

impl Context {
    /// Makes an instruction; an error becomes a diagnostic and [`InstructionKind::Invalid`].
    pub(super) fn instruction(
        &mut self,
        head: &Head<'_>,
        words: &[HeredocWord<'_>],
        heredocs: Vec<Heredoc>,
        extent: Extent,
    ) -> Instruction {
        let (instruction, error) = self.build(head, words, heredocs, extent);
        self.diagnostics.extend(error);
        instruction
    }

    fn build(
        &mut self,
        head: &Head<'_>,
        words: &[HeredocWord<'_>],
        heredocs: Vec<Heredoc>,
        extent: Extent,
    ) -> (Instruction, Option<Diagnostic>) {
        let input = Input {
            head,
            words,
            heredocs: &heredocs,
            escape: self.escape,
        };
        let (kind, error) = match self.kind(input, extent) {
            Ok(kind) => (kind, None),
            Err(diagnostic) => (InstructionKind::Invalid, Some(diagnostic)),
        };
        let keyword = head.keyword.spanned();
        let instruction = Instruction {
            kind,
            span: Span {
                start: keyword.span.start,
                end: extent.end.max(keyword.span.end),
            },
            keyword,
            lines: extent.lines,
            original: head.all.text().to_owned(),
            flags: head.flags.clone(),
            heredocs,
            leading_comments: 0..0,
        };
        (instruction, error)
    }

    fn kind(&mut self, input: Input<'_>, extent: Extent) -> Result<InstructionKind, Diagnostic> {
        let name = input.head.name();
        Ok(match name.as_str() {
            "ADD" => InstructionKind::Add(copying::add(input)?),
            "ARG" => InstructionKind::Arg(payload::arg(input)?),
            "CMD" => InstructionKind::Cmd(payload::command(input)?),
            "COPY" => InstructionKind::Copy(copying::copy(input)?),
            "ENTRYPOINT" => InstructionKind::Entrypoint(payload::command(input)?),
            "ENV" => InstructionKind::Env(payload::key_values(input)?),
            "EXPOSE" => InstructionKind::Expose(payload::expose(input)?),
            "FROM" => InstructionKind::From(payload::from(input)?),
            "HEALTHCHECK" => InstructionKind::Healthcheck(payload::healthcheck(input)?),
            "LABEL" => InstructionKind::Label(payload::key_values(input)?),
            "MAINTAINER" => InstructionKind::Maintainer(payload::single(input)?),
            "ONBUILD" => InstructionKind::Onbuild(self.onbuild(input, extent)?),
            "RUN" => InstructionKind::Run(payload::run(input)?),
            "SHELL" => InstructionKind::Shell(payload::shell(input)?),
            "STOPSIGNAL" => InstructionKind::Stopsignal(payload::single(input)?),
            "USER" => InstructionKind::User(payload::single(input)?),
            "VOLUME" => InstructionKind::Volume(payload::volume(input)?),
            "WORKDIR" => InstructionKind::Workdir(payload::single(input)?),
            _ => return Err(unknown_instruction(&name, input.head.keyword.span())),
        })
    }

    fn onbuild(&mut self, input: Input<'_>, extent: Extent) -> Result<Onbuild, Diagnostic> {
        payload::no_flags(input)?;
        if input.head.args.is_empty() {
            return Err(payload::at_least_one(input));
        }
        let inner = head::split(input.head.args, self.escape);
        if let Some(diagnostic) = forbidden_trigger(&inner.name(), inner.keyword.span()) {
            return Err(diagnostic);
        }
        let (inner, error) = self.build(&inner, input.words, input.heredocs.to_vec(), extent);
        if let Some(diagnostic) = error {
            return Err(diagnostic);
        }
        let text = inner.text_with_heredocs();
        Ok(Onbuild {
            inner: Box::new(inner),
            text,
        })
    }
}

/// Says why an instruction, given in upper case, may not be a trigger.
pub(super) fn forbidden_trigger(name: &str, span: Span) -> Option<Diagnostic> {
    let message = match name {
        "ONBUILD" => "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
        "FROM" | "MAINTAINER" => format!("{name} isn't allowed as an ONBUILD trigger"),
        _ => return None,
    };
    Some(Diagnostic::error("forbidden-trigger", message).at(span))
}

fn unknown_instruction(name: &str, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        "unknown-instruction",
        format!("unknown instruction: {name}"),
    );
    diagnostic.at(span).suggest(name, KEYWORDS)
}
