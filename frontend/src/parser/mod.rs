//! From source text to the syntax tree.
//!
//! Steps per instruction: [`lines`] joins continued lines into one [`line::LogicalLine`] that remembers where
//! its bytes came from, [`head`] splits off keyword and flags, [`heredoc`] finds inline documents, [`build`] and
//! [`payload`] make the typed node. A mistake costs its own instruction only; reading goes on behind it.

mod build;
mod copying;
mod directives;
mod duration;
mod flags;
mod head;
mod heredoc;
mod json;
mod line;
mod lines;
mod lint;
mod payload;
#[cfg(test)]
mod tests;
mod words;

pub use directives::detect_syntax;

use crate::ast::{Comment, Dockerfile, Instruction, InstructionKind};
use crate::checks::{self, Settings};
use crate::diagnostic::Diagnostic;
use crate::request::PlanRequest;
use crate::source::SourceFile;
use crate::span::LineRange;
use build::{Context, Extent};
use line::Piece;
use lines::Lines;

/// What [`parse`] found: always a tree, even from broken text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The tree.
    pub ast: Dockerfile,
    /// Errors and warnings in the order of the text; what concerns the whole file comes last.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Says whether a diagnostic is an error; then the tree must not be planned.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a Dockerfile; never fails, see [`Parsed::diagnostics`].
///
/// The checks that need only the text are made as the file itself wants them.
pub fn parse(source: &SourceFile) -> Parsed {
    let parsed = read_all(source);
    let settings = Settings::of_file(&parsed.ast);
    finish(source, parsed, settings)
}

/// Parses a Dockerfile like [`parse`]; which checks are made is for the request to say, too.
pub fn parse_for(source: &SourceFile, request: &PlanRequest) -> Parsed {
    let parsed = read_all(source);
    let settings = Settings::new(&parsed.ast, request);
    finish(source, parsed, settings)
}

fn finish(
    source: &SourceFile,
    mut parsed: Parsed,
    settings: Result<Settings, Diagnostic>,
) -> Parsed {
    let Parsed { ast, diagnostics } = &mut parsed;
    let settings = settings.unwrap_or_else(|error| {
        diagnostics.push(error);
        Settings::default()
    });
    checks::of_text(ast, &settings, diagnostics);
    if !diagnostics.iter().any(Diagnostic::is_error) {
        match check_file(source, ast) {
            Some(error) => diagnostics.push(error),
            None => checks::of_whole(ast, &settings, diagnostics),
        }
    }
    settings.filter(ast, diagnostics);
    diagnostics.sort_by_key(|found| found.span().map_or(u32::MAX, |span| span.start));
    parsed
}

/// Parses the text of one instruction, as the trigger in the config of an image, with `\` as the escape character.
///
/// Spans refer to `text`. Exactly one instruction must be there, and one that may be a trigger; warnings are dropped.
pub fn parse_instruction(text: &str) -> Result<Instruction, Vec<Diagnostic>> {
    let mut parsed = read_all(&SourceFile::new("ONBUILD", text));
    parsed.diagnostics.retain(Diagnostic::is_error);
    if !parsed.diagnostics.is_empty() {
        return Err(parsed.diagnostics);
    }
    let single = if parsed.ast.items.len() == 1 {
        parsed.ast.items.pop()
    } else {
        None
    };
    let Some(instruction) = single else {
        let message = "onbuild trigger should be a single expression";
        return Err(vec![Diagnostic::error("onbuild-not-single", message)]);
    };
    match build::forbidden_trigger(&instruction.name(), instruction.keyword.span) {
        Some(diagnostic) => Err(vec![diagnostic]),
        None => Ok(instruction),
    }
}

/// Reads directives and instructions; says nothing about stages.
fn read_all(source: &SourceFile) -> Parsed {
    let mut diagnostics = Vec::new();
    let header = directives::read(source, &mut diagnostics);
    let mut lines = Lines::new(source, header.escape, header.n_lines, &mut diagnostics);
    let mut context = Context {
        escape: header.escape,
        diagnostics,
    };
    let mut items = Vec::new();
    while let Some(line) = lines.next_logical() {
        let text = Piece::all(&line).trim();
        if text.is_empty() {
            continue;
        }
        if let Some(blank) = line.empty_continuation {
            let last = lines.last_span();
            context
                .diagnostics
                .push(lint::empty_continuation(blank, last));
        }
        let head = head::split(text, header.escape);
        let words = heredoc::words_of(&head, header.escape);
        let heredocs = lines.read_heredocs(&words, &mut context.diagnostics);
        let first = source.line_col(text.span().start).0;
        // The body of a heredoc that nothing ends goes on behind the last line.
        let body_end = heredocs.last().map_or(0, |heredoc| heredoc.body_span.end);
        let end = text.span().end.max(lines.last_byte()).max(body_end);
        let extent = Extent {
            end,
            lines: LineRange::new(first, lines.last_line()),
        };
        items.push(context.instruction(&head, &words, heredocs, extent));
    }
    let mut comments = header.comments;
    comments.append(&mut lines.into_comments());
    attach_comments(&mut items, &comments);
    let ast = Dockerfile {
        escape: header.escape,
        directives: header.directives,
        items,
        comments,
    };
    Parsed {
        ast,
        diagnostics: context.diagnostics,
    }
}

/// Gives every instruction the run of comment lines directly above it.
fn attach_comments(items: &mut [Instruction], comments: &[Comment]) {
    for item in items {
        let end = comments.partition_point(|comment| comment.line < item.lines.first);
        let mut start = end;
        let mut line = item.lines.first;
        while start > 0 && comments[start - 1].line + 1 == line {
            start -= 1;
            line -= 1;
        }
        item.leading_comments = start..end;
    }
}

/// Checks what only the whole file can show.
fn check_file(source: &SourceFile, ast: &Dockerfile) -> Option<Diagnostic> {
    if source.text().is_empty() {
        return Some(Diagnostic::error(
            "empty-file",
            "the Dockerfile cannot be empty",
        ));
    }
    if ast.items.is_empty() {
        return Some(Diagnostic::error(
            "no-instructions",
            "file with no instructions",
        ));
    }
    let first = ast
        .items
        .iter()
        .find(|item| !matches!(item.kind, InstructionKind::Arg(_)));
    match first {
        None => Some(Diagnostic::error(
            "no-stages",
            "dockerfile contains no stages to build",
        )),
        Some(item) if matches!(item.kind, InstructionKind::From(_)) => None,
        Some(item) => Some(no_stage(item)),
    }
}

fn no_stage(early: &Instruction) -> Diagnostic {
    Diagnostic::error("no-build-stage", "no build stage in current context")
        .at(early.keyword.span)
        .with_hint("only ARG may stand before the first FROM")
}
