//! The instructions with their typed arguments.

use std::time::Duration;

use crate::ast::Instruction;
use crate::ast::flags::{AddFlags, CopyFlags, RunFlags};
use crate::span::{Span, Spanned};

/// What an instruction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionKind {
    /// ADD.
    Add(Add),
    /// ARG: one or more declarations.
    Arg(Vec<ArgDecl>),
    /// CMD.
    Cmd(Command),
    /// COPY.
    Copy(Copy),
    /// ENTRYPOINT.
    Entrypoint(Command),
    /// ENV: keys and values are to be expanded.
    Env(Vec<KeyValue>),
    /// EXPOSE.
    Expose(Expose),
    /// FROM.
    From(From),
    /// HEALTHCHECK.
    Healthcheck(Healthcheck),
    /// LABEL: keys and values are to be expanded.
    Label(Vec<KeyValue>),
    /// MAINTAINER: the author, never expanded.
    Maintainer(Spanned<String>),
    /// ONBUILD.
    Onbuild(Onbuild),
    /// RUN.
    Run(Run),
    /// SHELL: the words of the JSON array, never empty.
    Shell(Vec<Spanned<String>>),
    /// STOPSIGNAL: unexpanded.
    Stopsignal(Spanned<String>),
    /// USER: unexpanded `user[:group]`.
    User(Spanned<String>),
    /// VOLUME.
    Volume(Volume),
    /// WORKDIR: unexpanded path.
    Workdir(Spanned<String>),
    /// An instruction that could not be read; an error diagnostic says why.
    Invalid,
}

impl InstructionKind {
    /// Returns the upper-case keyword; empty for [`InstructionKind::Invalid`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::From(_) => "FROM",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
            Self::Invalid => "",
        }
    }
}

/// Arguments of FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// `--platform`, unexpanded.
    pub platform: Option<Spanned<String>>,
    /// Image, stage name or `scratch`, unexpanded.
    pub image: Spanned<String>,
    /// The name after `AS`, in lower case and valid.
    pub name: Option<Spanned<String>>,
}

/// One declaration of ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgDecl {
    /// The name, unexpanded (variables in it are legal).
    pub name: Spanned<String>,
    /// The default after `=`, unexpanded and quoted as written; `ARG X=` has an empty one.
    pub default: Option<Spanned<String>>,
    /// The whole word.
    pub span: Span,
}

/// One pair of ENV or LABEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, unexpanded and quoted as written.
    pub key: Spanned<String>,
    /// The value, unexpanded and quoted as written.
    pub value: Spanned<String>,
    /// Key and value together.
    pub span: Span,
    /// Whether the legacy form `KEY the rest of the line` was used; then it is the only pair.
    pub legacy: bool,
}

/// A command of CMD, ENTRYPOINT or HEALTHCHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell, never expanded; empty when nothing was written.
    Shell(Spanned<String>),
    /// The decoded words of a JSON array; may be empty.
    Exec(Vec<Spanned<String>>),
}

/// Arguments of RUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The flags.
    pub flags: RunFlags,
    /// What to run.
    pub command: RunCommand,
}

/// What a RUN runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunCommand {
    /// Text for the shell.
    Shell(Spanned<String>),
    /// The decoded words of a JSON array; never empty.
    Exec(Vec<Spanned<String>>),
    /// Nothing but one heredoc, `heredocs[0]` of the instruction.
    ///
    /// A content that starts with `#!` is a file to execute, any other is the shell's single argument.
    Heredoc {
        /// The `<<WORD` as written.
        word: Spanned<String>,
    },
    /// A line that has heredocs among other words, for the shell to handle.
    ShellWithHeredocs {
        /// The line alone.
        line: Spanned<String>,
        /// The line, then every body with its terminator: the shell's argument.
        script: String,
    },
}

/// Arguments of COPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The flags.
    pub flags: CopyFlags,
    /// The sources in order, at least one.
    pub sources: Vec<CopySource>,
    /// The destination, unexpanded.
    pub dest: Spanned<String>,
}

/// Arguments of ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// The flags.
    pub flags: AddFlags,
    /// The sources in order, at least one.
    pub sources: Vec<CopySource>,
    /// The destination, unexpanded.
    pub dest: Spanned<String>,
}

/// A source of COPY or ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopySource {
    /// A path, pattern or URL, unexpanded.
    Path(Spanned<String>),
    /// A heredoc: the index into the instruction's `heredocs`.
    Heredoc(usize),
}

/// Arguments of EXPOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expose {
    /// The words, unexpanded; each may expand to several ports ([`crate::expand::expand_words`]).
    pub ports: Vec<Spanned<String>>,
}

/// Arguments of VOLUME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The paths, unexpanded; words of either form.
    pub paths: Vec<Spanned<String>>,
}

/// Arguments of HEALTHCHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// `--interval`; zero means inherit.
    pub interval: Option<Spanned<Duration>>,
    /// `--timeout`; zero means inherit.
    pub timeout: Option<Spanned<Duration>>,
    /// `--start-period`; zero means inherit.
    pub start_period: Option<Spanned<Duration>>,
    /// `--start-interval`; zero means inherit.
    pub start_interval: Option<Spanned<Duration>>,
    /// `--retries`; zero means inherit.
    pub retries: Option<Spanned<u32>>,
    /// What to run.
    pub test: HealthcheckTest,
}

/// The test of a HEALTHCHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthcheckTest {
    /// `NONE`: disables an inherited check.
    None,
    /// `CMD`: never expanded.
    Cmd(Command),
}

/// Arguments of ONBUILD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// The trigger, with spans into the same file.
    pub inner: Box<Instruction>,
    /// The trigger as it is stored in the image config: the logical line after `ONBUILD`, heredoc bodies included.
    pub text: String,
}
