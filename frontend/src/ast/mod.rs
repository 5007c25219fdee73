//! The syntax tree of a Dockerfile.
//!
//! Values are as written: variables are not expanded, and except where said otherwise quotes and escapes
//! are still in place. Expansion ([`crate::expand`]) is called by the plan, which knows the variables.

mod flags;
mod heredoc;
mod instruction;
mod mount;

pub use flags::{AddFlags, CopyFlags, Flag, RunFlags, RunNetwork, RunSecurity};
pub use heredoc::Heredoc;
pub use instruction::{
    Add, ArgDecl, Command, Copy, CopySource, Expose, From, Healthcheck, HealthcheckTest,
    InstructionKind, KeyValue, Onbuild, Run, RunCommand, Volume,
};
pub use mount::{Mount, MountField, MountKind, MountSharing, MountSpec};

use crate::span::{LineRange, Span, Spanned};

/// A parsed Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The character that continues lines and escapes; from the `escape` directive.
    pub escape: Escape,
    /// The directives in order, unknown values included.
    pub directives: Vec<Directive>,
    /// The instructions in order; the ones that could not be read are [`InstructionKind::Invalid`].
    pub items: Vec<Instruction>,
    /// Every comment line in order, also the ones inside continued instructions; directives are not among them.
    pub comments: Vec<Comment>,
}

impl Dockerfile {
    /// Returns the value of the first directive of a kind.
    pub fn directive(&self, kind: DirectiveKind) -> Option<&Spanned<String>> {
        self.directives
            .iter()
            .find(|found| found.kind == kind)
            .map(|found| &found.value)
    }
}

/// The escape character of a Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Escape {
    /// `\`, the default.
    #[default]
    Backslash,
    /// A backtick, for Windows paths.
    Backtick,
}

impl Escape {
    /// Returns the character.
    pub fn as_char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// The parser directives that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DirectiveKind {
    /// `# syntax=`: the frontend image that should read the file.
    Syntax,
    /// `# escape=`: the escape character.
    Escape,
    /// `# check=`: settings of the lint rules.
    Check,
}

/// A line like `# syntax=docker/dockerfile:1` at the top of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Which one.
    pub kind: DirectiveKind,
    /// The trimmed value.
    pub value: Spanned<String>,
    /// The whole line, without its ending.
    pub span: Span,
}

/// A comment line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The text after `#`, trimmed.
    pub text: String,
    /// From `#` to the end of the line.
    pub span: Span,
    /// The line, from 1.
    pub line: u32,
}

/// One instruction, with everything that was written for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it is, with its typed arguments.
    pub kind: InstructionKind,
    /// The keyword as written; [`InstructionKind::name`] has the upper-case form.
    pub keyword: Spanned<String>,
    /// From the keyword to the last byte of the instruction, heredoc bodies and terminators included.
    pub span: Span,
    /// The lines it stands on, heredoc bodies and terminators included.
    pub lines: LineRange,
    /// The joined logical line: continuations and inner comments removed, outer blanks trimmed, no heredoc bodies.
    pub original: String,
    /// All flags in order, also the ones that could not be understood.
    pub flags: Vec<Flag>,
    /// The heredocs in the order of their words; only for RUN, COPY, ADD and ONBUILD of those.
    ///
    /// The heredocs of an ONBUILD stand here *and* on its inner instruction.
    pub heredocs: Vec<Heredoc>,
    /// Indices into [`Dockerfile::comments`] of the comment lines directly above, nearest last.
    pub leading_comments: std::ops::Range<usize>,
}

impl Instruction {
    /// Returns the upper-case keyword.
    pub fn name(&self) -> String {
        self.keyword.value.to_ascii_uppercase()
    }

    /// Returns the logical line followed by the heredoc bodies and terminators, as ONBUILD stores it.
    pub fn text_with_heredocs(&self) -> String {
        let mut text = self.original.clone();
        for heredoc in &self.heredocs {
            heredoc.append_to(&mut text);
        }
        text
    }
}
