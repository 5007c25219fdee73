//! Checks that only this builder has: what makes images large, builds slow, or secrets public.
//!
//! They judge by the text alone, by names and by the usual ways to call the usual programs, so they can be wrong.
//! That is why they are experimental: none runs unless it is asked for.

mod deleted;
mod install;
mod lists;
mod secret_files;
mod shell;

use super::Settings;
use crate::ast::{Copy, CopySource, Dockerfile, Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

/// Makes the checks that the settings ask for.
pub(super) fn check(ast: &Dockerfile, settings: &Settings, found: &mut Vec<Diagnostic>) {
    let checks: [(&str, Check); 4] = [
        ("CopySourcesBeforeInstall", install::check),
        ("DeletedInLaterLayer", deleted::check),
        ("PackageListsLeft", lists::check),
        ("SecretCopied", secret_files::check),
    ];
    for (name, check) in checks {
        if settings.runs(name) {
            for stage in stages(ast) {
                check(stage, found);
            }
        }
    }
}

/// Looks at the instructions of one stage.
type Check = fn(&[Instruction], &mut Vec<Diagnostic>);

/// The instructions of each stage, its FROM first.
fn stages(ast: &Dockerfile) -> impl Iterator<Item = &[Instruction]> {
    let is_from = |item: &Instruction| matches!(item.kind, InstructionKind::From(_));
    let chunks = ast.items.chunk_by(move |_, next| !is_from(next));
    chunks.filter(move |stage| stage.first().is_some_and(is_from))
}

/// What a COPY or ADD takes from the context, and where to.
struct Copied<'a> {
    sources: Vec<&'a Spanned<String>>,
    dest: &'a Spanned<String>,
}

impl<'a> Copied<'a> {
    /// None for other instructions, and for copies of stages and images.
    fn of(item: &'a Instruction) -> Option<Self> {
        let (sources, dest) = match &item.kind {
            InstructionKind::Copy(Copy {
                flags,
                sources,
                dest,
            }) if flags.from.is_none() => (sources, dest),
            InstructionKind::Add(add) => (&add.sources, &add.dest),
            _ => return None,
        };
        let paths = sources.iter().filter_map(|source| match source {
            CopySource::Path(path) if !path.value.contains("://") => Some(path),
            _ => None,
        });
        Some(Self {
            sources: paths.collect(),
            dest,
        })
    }
}
