//! What is read but not lowered yet.

use crate::ast::{AddFlags, CopyFlags, Instruction, InstructionKind, RunFlags, RunSecurity};
use crate::diagnostic::Diagnostic;
use crate::span::{Span, Spanned};

/// Refuses an instruction of a reachable stage that asks for more than is lowered.
pub(super) fn check(instruction: &Instruction) -> Result<(), Diagnostic> {
    let found = match &instruction.kind {
        InstructionKind::Run(run) => in_run(&run.flags),
        InstructionKind::Copy(copy) => in_copy(&copy.flags),
        InstructionKind::Add(add) => in_add(&add.flags),
        InstructionKind::Invalid => {
            let message = "an instruction that cannot be read";
            return Err(Diagnostic::error("invalid-instruction", message).at(instruction.span));
        }
        _ => None,
    };
    found.map_or(Ok(()), |(what, span)| Err(error(what, span)))
}

/// The finding for one thing.
pub(super) fn error(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("unsupported", format!("`{what}` is not supported yet")).at(span)
}

fn in_run(flags: &RunFlags) -> Option<(&'static str, Span)> {
    if let Some(mount) = flags.mounts.first() {
        return Some(("RUN --mount", mount.raw.span));
    }
    if let Some(device) = flags.devices.first() {
        return Some(("RUN --device", device.span));
    }
    let insecure = flags
        .security
        .as_ref()
        .filter(|s| s.value == RunSecurity::Insecure)?;
    Some(("RUN --security=insecure", insecure.span))
}

fn in_copy(flags: &CopyFlags) -> Option<(&'static str, Span)> {
    // With `--chmod` a linked copy is an ordinary one (1.4).
    if let Some(span) = is_set(flags.link.as_ref()).filter(|_| flags.chmod.is_none()) {
        return Some(("COPY --link", span));
    }
    if let Some(span) = is_set(flags.parents.as_ref()) {
        return Some(("COPY --parents", span));
    }
    Some(("COPY --exclude", flags.excludes.first()?.span))
}

fn in_add(flags: &AddFlags) -> Option<(&'static str, Span)> {
    if let Some(span) = is_set(flags.link.as_ref()).filter(|_| flags.chmod.is_none()) {
        return Some(("ADD --link", span));
    }
    if let Some(span) = is_set(flags.keep_git_dir.as_ref()) {
        return Some(("ADD --keep-git-dir", span));
    }
    Some(("ADD --exclude", flags.excludes.first()?.span))
}

fn is_set(flag: Option<&Spanned<bool>>) -> Option<Span> {
    flag.filter(|flag| flag.value).map(|flag| flag.span)
}
