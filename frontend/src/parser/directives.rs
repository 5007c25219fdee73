//! Parser directives at the top of the file.

use super::lines::{Physical, physical};
use crate::ast::{Comment, Directive, DirectiveKind, Escape};
use crate::diagnostic::Diagnostic;
use crate::source::SourceFile;
use crate::span::{Span, Spanned};

/// What the top of the file says.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) escape: Escape,
    pub(super) directives: Vec<Directive>,
    /// The shebang line, if there is one.
    pub(super) comments: Vec<Comment>,
    /// The number of lines that are used up.
    pub(super) n_lines: usize,
}

/// Reads directives up to the first line that is none.
pub(super) fn read(source: &SourceFile, diagnostics: &mut Vec<Diagnostic>) -> Header {
    let mut header = Header::default();
    let mut has_shebang = false;
    for line in physical(source) {
        if line.number == 1 && line.text.starts_with("#!") {
            has_shebang = true;
            header.comments.push(line.comment());
            header.n_lines += 1;
            continue;
        }
        let Some(directive) = directive(line, "#") else {
            break;
        };
        header.n_lines += 1;
        // The escape character has to be known from the first line on, so behind a shebang it is too
        // late to name one; the other directives are looked for behind it as well.
        if has_shebang && directive.kind == DirectiveKind::Escape {
            header.comments.push(line.comment());
            continue;
        }
        if header
            .directives
            .iter()
            .any(|known| known.kind == directive.kind)
        {
            diagnostics.push(duplicate(&directive));
            continue;
        }
        if directive.kind == DirectiveKind::Escape {
            match escape(&directive) {
                Ok(escape) => header.escape = escape,
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        header.directives.push(directive);
    }
    header
}

/// Finds the frontend reference that a text asks for, whatever kind of file it is.
///
/// Looks for a `syntax` directive behind `#`, then behind `//`, then for the string member `syntax` of a JSON object.
/// A `#!` line at the top is passed over. The span of a JSON value covers the whole text.
pub fn detect_syntax(source: &SourceFile) -> Option<Spanned<String>> {
    let commented = |mark: &'static str| {
        physical(source)
            .filter(|line| line.number > 1 || !line.text.starts_with("#!"))
            .map_while(move |line| directive(line, mark))
            .find(|found| found.kind == DirectiveKind::Syntax)
            .map(|found| found.value)
    };
    commented("#")
        .or_else(|| commented("//"))
        .or_else(|| json_syntax(source))
}

fn json_syntax(source: &SourceFile) -> Option<Spanned<String>> {
    let text = source.text().trim_start_matches('\u{feff}');
    let text = match text.strip_prefix("#!") {
        Some(rest) => rest.split_once('\n')?.1,
        None => text,
    };
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let value = values.next()?.ok()?;
    let syntax = value.get("syntax")?.as_str()?.to_owned();
    Some(Spanned::new(syntax, Span::new(0, source.text().len())))
}

/// Reads `# key = value` with a known key.
fn directive(line: Physical<'_>, mark: &str) -> Option<Directive> {
    let text = line.text.trim_start();
    let after_mark = text.strip_prefix(mark)?;
    let (key, value) = after_mark.split_once('=')?;
    let kind = match key.trim().to_ascii_lowercase().as_str() {
        "syntax" => DirectiveKind::Syntax,
        "escape" => DirectiveKind::Escape,
        "check" => DirectiveKind::Check,
        _ => return None,
    };
    let start = line.end() - value.trim_start().len();
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    let value = Spanned::new(value.to_owned(), Span::new(start, start + value.len()));
    let span = Span::new(line.end() - text.len(), line.end());
    Some(Directive { kind, value, span })
}

fn escape(directive: &Directive) -> Result<Escape, Diagnostic> {
    match directive.value.as_str() {
        "\\" => Ok(Escape::Backslash),
        "`" => Ok(Escape::Backtick),
        other => {
            let message = format!("invalid escape token '{other}' does not match ` or \\");
            Err(Diagnostic::error("invalid-escape", message).at(directive.value.span))
        }
    }
}

fn duplicate(directive: &Directive) -> Diagnostic {
    let key = match directive.kind {
        DirectiveKind::Syntax => "syntax",
        DirectiveKind::Escape => "escape",
        DirectiveKind::Check => "check",
    };
    let message = format!("only one {key} parser directive can be used");
    Diagnostic::error("duplicate-directive", message).at(directive.span)
}
