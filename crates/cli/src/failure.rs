use crate::flags;
use acetate_engine::BuildError;
use acetate_frontend::{Diagnostic, LineRange, SourceFile, checks, render};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Why the program ends badly, ready to be printed.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

/// The exit code of a build that failed.
const FAILED: u8 = 1;
/// The exit code of a command line that makes no sense, as with most tools.
const USAGE: u8 = 2;

impl Failure {
    /// A command line that clap refused; also `--help` and `--version`, which end well.
    #[expect(clippy::print_stdout, reason = "the help belongs on standard output")]
    pub(crate) fn usage(error: &clap::Error, args: &[String]) -> Self {
        if !error.use_stderr() {
            print!("{error}");
            return Self {
                text: String::new(),
                code: 0,
            };
        }
        if error.kind() == clap::error::ErrorKind::UnknownArgument
            && let Some((flag, instead)) = flags::unfinished(args)
        {
            return Self {
                text: format!("ERROR: {flag} is not supported yet; {instead}\n"),
                code: USAGE,
            };
        }
        Self {
            text: error.to_string(),
            code: USAGE,
        }
    }

    /// Prints the error and gives the exit code.
    #[expect(clippy::print_stderr, reason = "errors belong on standard error")]
    pub(crate) fn print(&self) -> ExitCode {
        eprint!("{}", self.text);
        ExitCode::from(self.code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<BuildError>() {
            Ok(error) => error.into(),
            Err(error) => Self {
                text: format!("ERROR: {error:#}\n"),
                code: FAILED,
            },
        }
    }
}

impl From<acetate_exec::ExecError> for Failure {
    fn from(error: acetate_exec::ExecError) -> Self {
        BuildError::from(error).into()
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::build(&error, "")
    }
}

impl Failure {
    /// A build that failed, with what its failed step wrote last.
    pub(crate) fn build(error: &BuildError, last_words: &str) -> Self {
        let text = match error {
            BuildError::Dockerfile { file, diagnostics } => dockerfile(file, diagnostics),
            BuildError::Step {
                name,
                origin,
                file,
                message,
                ..
            } => {
                let mut text = format!("------\n > {name}:\n{last_words}------\n");
                if let Some(origin) = origin {
                    let lines = LineRange::new(origin.first_line, origin.last_line);
                    text += &render::render_excerpt(file, lines);
                }
                text + &format!("ERROR: failed to build: failed to solve: {message}\n")
            }
            error => format!("ERROR: {}\n", error.words()),
        };
        let text = match error.hint() {
            Some(hint) => format!("{text}hint: {hint}\n"),
            None => text,
        };
        Self { text, code: FAILED }
    }
}

impl Failure {
    /// A failure that is told in full by `text`.
    pub(crate) fn told(text: String) -> Self {
        Self { text, code: FAILED }
    }
}

fn dockerfile(file: &SourceFile, diagnostics: &[Diagnostic]) -> String {
    let mut text = warnings(file, diagnostics);
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.is_error()).collect();
    for error in &errors {
        if let Some(span) = error.span() {
            text += &render::render_excerpt(file, file.line_range(span));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "ERROR: failed to build: failed to solve: {}",
            error.message
        );
        if let Some(hint) = &error.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
    }
    text
}

/// The warnings among `diagnostics`, as they stand at the end of a build: one line each.
pub(crate) fn warnings(file: &SourceFile, diagnostics: &[Diagnostic]) -> String {
    let warnings: Vec<&Diagnostic> = diagnostics.iter().filter(|d| !d.is_error()).collect();
    if warnings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n {} (use --debug to expand):\n", counted(warnings.len()));
    let ast = acetate_frontend::parse(file).ast;
    for warning in warnings {
        let lines = checks::lines_of(file, &ast, warning);
        let _ = writeln!(text, " - {}", line(warning, lines));
    }
    text
}

/// The warnings with the lines that they are about.
pub(crate) fn expanded_warnings(file: &SourceFile, diagnostics: &[Diagnostic]) -> String {
    let warnings: Vec<&Diagnostic> = diagnostics.iter().filter(|d| !d.is_error()).collect();
    if warnings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n {}:\n", counted(warnings.len()));
    let ast = acetate_frontend::parse(file).ast;
    for warning in warnings {
        let lines = checks::lines_of(file, &ast, warning);
        let _ = writeln!(text, " - {}", line(warning, lines));
        if let Some(hint) = &warning.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        if let Some(rule) = checks::find(warning.code) {
            let _ = writeln!(text, "More info: {}", rule.page);
        }
        if let Some(lines) = lines {
            text += &render::render_excerpt(file, lines);
        }
    }
    text
}

fn counted(n: usize) -> String {
    match n {
        1 => "1 warning found".to_owned(),
        n => format!("{n} warnings found"),
    }
}

/// A warning and the first line of its instruction, which other builders name, too.
fn line(warning: &Diagnostic, lines: Option<LineRange>) -> String {
    let place = lines
        .map(|lines| format!(" (line {})", lines.first))
        .unwrap_or_default();
    format!("{}: {}{place}", warning.code, warning.message)
}
