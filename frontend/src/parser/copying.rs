//! The typed arguments of COPY and ADD.

use super::build::Input;
use super::flags::{Flags, Takes};
use super::{json, words};
use crate::ast::{Add, AddFlags, Copy, CopyFlags, CopySource};
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

/// COPY.
pub(super) fn copy(input: Input<'_>) -> Result<Copy, Diagnostic> {
    let (sources, dest) = sources_and_dest(input)?;
    if let Some(flag) = input
        .head
        .flags
        .iter()
        .find(|flag| flag.name.value == "checksum")
    {
        let message = "checksum can't be specified for COPY";
        return Err(Diagnostic::error("checksum-for-copy", message).at(flag.span));
    }
    let flags = Flags::check(
        &input.head.flags,
        &[
            ("from", Takes::Value),
            ("chown", Takes::Value),
            ("chmod", Takes::Value),
            ("link", Takes::Bool),
            ("parents", Takes::Bool),
            ("exclude", Takes::Values),
        ],
    )?;
    let from = flags.value("from");
    if let Some(from) = from.as_ref().filter(|from| has_variable(&from.value)) {
        return Err(variable_in_from(from));
    }
    let flags = CopyFlags {
        from,
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.boolean("link"),
        parents: flags.boolean("parents"),
        excludes: flags.values("exclude").collect(),
    };
    Ok(Copy {
        flags,
        sources,
        dest,
    })
}

/// ADD.
pub(super) fn add(input: Input<'_>) -> Result<Add, Diagnostic> {
    let (sources, dest) = sources_and_dest(input)?;
    let flags = Flags::check(
        &input.head.flags,
        &[
            ("chown", Takes::Value),
            ("chmod", Takes::Value),
            ("link", Takes::Bool),
            ("exclude", Takes::Values),
            ("keep-git-dir", Takes::Bool),
            ("checksum", Takes::Value),
            ("unpack", Takes::Bool),
        ],
    )?;
    let flags = AddFlags {
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.boolean("link"),
        excludes: flags.values("exclude").collect(),
        keep_git_dir: flags.boolean("keep-git-dir"),
        checksum: flags.value("checksum"),
        unpack: flags.boolean("unpack"),
    };
    Ok(Add {
        flags,
        sources,
        dest,
    })
}

/// `$` in front of anything.
fn has_variable(text: &str) -> bool {
    text.find('$').is_some_and(|at| at + 1 < text.len())
}

fn variable_in_from(from: &Spanned<String>) -> Diagnostic {
    let message = "variable expansion is not supported for --from, define a new stage with FROM \
                   using ARG from global scope as a workaround";
    Diagnostic::error("variable-in-from", message).at(from.span)
}

fn sources_and_dest(input: Input<'_>) -> Result<(Vec<CopySource>, Spanned<String>), Diagnostic> {
    let mut sources = match json::strings(input.head.args)? {
        Some(words) => words.into_iter().map(CopySource::Path).collect(),
        None => sources(input),
    };
    let name = input.head.name();
    let dest = match sources.pop() {
        Some(dest) if !sources.is_empty() => dest,
        _ => {
            let message = format!(
                "{name} requires at least two arguments, but only one was provided. \
                 Destination could not be determined."
            );
            return Err(Diagnostic::error("arguments", message).at(input.head.all.span()));
        }
    };
    match dest {
        CopySource::Path(dest) => Ok((sources, dest)),
        CopySource::Heredoc(idx) => {
            let message = format!("{name} cannot accept a heredoc as a destination");
            let span = input
                .heredocs
                .get(idx)
                .map_or(input.head.args.span(), |it| it.word_span);
            Err(Diagnostic::error("heredoc-destination", message).at(span))
        }
    }
}

/// Splits the arguments at blanks; heredoc words stay whole.
fn sources(input: Input<'_>) -> Vec<CopySource> {
    let args = input.head.args;
    let mut sources = Vec::new();
    let mut at = 0;
    for (idx, word) in input.words.iter().enumerate() {
        let start = args.offset_of(word.piece);
        let before = words::plain(args.sub(at..start));
        sources.extend(
            before
                .into_iter()
                .map(|word| CopySource::Path(word.spanned())),
        );
        sources.push(CopySource::Heredoc(idx));
        at = start + word.piece.len();
    }
    let rest = words::plain(args.from(at));
    sources.extend(
        rest.into_iter()
            .map(|word| CopySource::Path(word.spanned())),
    );
    sources
}
