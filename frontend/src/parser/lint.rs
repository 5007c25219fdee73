//! The warnings that need nothing but the text, and the `check` settings that silence them.

use crate::ast::{Comment, DirectiveKind, Dockerfile, Instruction, InstructionKind};
use crate::diagnostic::{Diagnostic, Severity};
use crate::span::{Span, Spanned};

/// A blank line inside a continued instruction.
pub(super) fn empty_continuation(place: Span) -> Diagnostic {
    let message = "empty continuation line";
    Diagnostic::warning("NoEmptyContinuation", message)
        .at(place)
        .with_hint("remove the blank line, or the continuation character above it")
}

/// What a single instruction is warned about.
pub(super) fn instruction(kind: &InstructionKind, keyword: Span) -> Option<Diagnostic> {
    let (name, pairs) = match kind {
        InstructionKind::Maintainer(_) => return Some(maintainer(keyword)),
        InstructionKind::Env(pairs) => ("ENV", pairs),
        InstructionKind::Label(pairs) => ("LABEL", pairs),
        _ => return None,
    };
    let pair = pairs.iter().find(|pair| pair.legacy)?;
    let message = format!(
        "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
    );
    Some(Diagnostic::warning("LegacyKeyValueFormat", message).at(pair.span))
}

fn maintainer(keyword: Span) -> Diagnostic {
    let message = "Maintainer instruction is deprecated in favor of using label";
    Diagnostic::warning("MaintainerDeprecated", message)
        .at(keyword)
        .with_hint("write `LABEL org.opencontainers.image.authors=...`")
}

/// Removes the warnings that a `check` directive or a `check` comment above the instruction skips.
///
/// Errors stay, whatever is skipped.
pub(crate) fn drop_skipped(ast: &Dockerfile, diagnostics: &mut Vec<Diagnostic>) {
    let everywhere = ast.directive(DirectiveKind::Check).map(Spanned::as_str);
    diagnostics.retain(|diagnostic| {
        diagnostic.severity != Severity::Warning
            || !(everywhere.is_some_and(|check| skips(check, diagnostic.code))
                || is_skipped_here(ast, diagnostic))
    });
}

fn is_skipped_here(ast: &Dockerfile, diagnostic: &Diagnostic) -> bool {
    let Some(span) = diagnostic.span() else {
        return false;
    };
    let idx = ast.items.partition_point(|item| item.span.end < span.end);
    let Some(item) = ast.items.get(idx) else {
        return false;
    };
    comments_above(ast, item).iter().any(|comment| {
        let text = comment.text.split("//").next().unwrap_or_default();
        let check = text.trim().strip_prefix("check=");
        check.is_some_and(|check| skips(check, diagnostic.code))
    })
}

fn comments_above<'a>(ast: &'a Dockerfile, item: &Instruction) -> &'a [Comment] {
    ast.comments
        .get(item.leading_comments.clone())
        .unwrap_or_default()
}

/// Reads `skip=A,B;error=true` and says whether `code` is skipped.
fn skips(check: &str, code: &str) -> bool {
    let skip = check
        .split(';')
        .find_map(|part| part.trim().strip_prefix("skip="));
    let mut rules = skip
        .into_iter()
        .flat_map(|rules| rules.split(','))
        .map(str::trim);
    rules.any(|rule| rule.eq_ignore_ascii_case(code) || rule.eq_ignore_ascii_case("all"))
}
