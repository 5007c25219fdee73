//! Comments that describe a stage or an argument: `# NAME what it is`.

use super::settings::{comments_above, is_setting};
use crate::ast::{Comment, Dockerfile, Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

/// What a comment above an instruction says about `name`; empty without one.
pub(crate) fn description(ast: &Dockerfile, item: &Instruction, name: &str) -> String {
    let said = comments(ast, item).filter_map(|comment| comment.text.split_once(' '));
    let mut said = said.filter(|(about, _)| *about == name && !name.is_empty());
    said.next()
        .map_or_else(String::new, |(_, text)| text.trim().to_owned())
}

/// Comments above FROM and ARG that describe neither.
pub(super) fn check(ast: &Dockerfile, found: &mut Vec<Diagnostic>) {
    for item in &ast.items {
        let (keyword, names) = match &item.kind {
            InstructionKind::Arg(declared) => (
                "ARG",
                declared.iter().map(|arg| arg.name.as_str()).collect(),
            ),
            InstructionKind::From(from) => {
                ("FROM", from.name.iter().map(Spanned::as_str).collect())
            }
            _ => ("", Vec::new()),
        };
        let Some(nearest) = comments(ast, item).last() else {
            continue;
        };
        let about = nearest.text.split(' ').next().unwrap_or_default();
        // An empty comment line sets the ones above it apart.
        if about.is_empty() || names.is_empty() || names.contains(&about) {
            continue;
        }
        let example = match names.as_slice() {
            [name] => name,
            _ => "<arg_key>",
        };
        let message =
            format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        found.push(Diagnostic::warning("InvalidDefinitionDescription", message).at(item.span));
    }
}

fn comments<'a>(ast: &'a Dockerfile, item: &Instruction) -> impl Iterator<Item = &'a Comment> {
    let above = comments_above(ast, item).iter();
    above.filter(|comment| !is_setting(comment))
}
