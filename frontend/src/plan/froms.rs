//! The names that instructions take files from.

use super::triggers::Item;
use crate::ast::{InstructionKind, MountField, MountSpec};
use crate::diagnostic::Diagnostic;
use crate::span::{Span, Spanned};

/// A name of a stage, a named context or an image, and where it stands.
#[derive(Debug)]
pub(super) enum FromName {
    /// `--from` of COPY.
    Copy(Spanned<String>),
    /// `from` of a mount.
    Mount {
        /// The name.
        name: Spanned<String>,
        /// Where it is to be mounted, as written.
        target: String,
    },
}

impl FromName {
    /// The name.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Copy(name) | Self::Mount { name, .. } => &name.value,
        }
    }

    /// Where it stands.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Copy(name) | Self::Mount { name, .. } => name.span,
        }
    }

    /// Whether a number counts stages.
    pub(super) fn may_be_number(&self) -> bool {
        matches!(self, Self::Copy(_))
    }

    /// The stage that is meant is defined behind the one that wants it (S22).
    pub(super) fn too_late(&self, stage: &str) -> Diagnostic {
        let from = self.text();
        let message = match self {
            Self::Copy(_) => format!(
                "cannot copy from stage \"{from}\", it needs to be defined before current stage \"{stage}\""
            ),
            Self::Mount { target, .. } => format!(
                "cannot mount from stage \"{from}\" to \"{target}\", stage needs to be defined before current command"
            ),
        };
        Diagnostic::error("stage-order", message).at(self.span())
    }
}

/// The names in one instruction, in order.
pub(super) fn of_item(item: &Item<'_>) -> Vec<FromName> {
    match &item.instruction.kind {
        InstructionKind::Copy(copy) => {
            let from = copy
                .flags
                .from
                .as_ref()
                .filter(|from| !from.value.is_empty());
            let named = from.map(|from| {
                FromName::Copy(Spanned::new(from.value.clone(), item.place(from.span)))
            });
            named.into_iter().collect()
        }
        InstructionKind::Run(run) => {
            let named = run.flags.mounts.iter().filter_map(of_mount);
            let relocated = named.map(|(name, target)| FromName::Mount {
                name: Spanned::new(name.value, item.place(name.span)),
                target,
            });
            relocated.collect()
        }
        _ => Vec::new(),
    }
}

/// The `from` of a mount that takes files from somewhere. A type that is a variable may be one.
fn of_mount(mount: &MountSpec) -> Option<(Spanned<String>, String)> {
    let last = |keys: &[&str]| -> Option<&MountField> {
        let mut fields = mount.fields.iter().rev();
        fields.find(|field| keys.contains(&field.key.as_str()))
    };
    let from = last(&["from"])?;
    let name = from.value.clone().filter(|name| !name.is_empty())?;
    let kind = last(&["type"]).and_then(|field| field.value.as_deref());
    let takes_none = ["tmpfs", "secret", "ssh"];
    if kind.is_some_and(|kind| {
        takes_none
            .iter()
            .any(|none| kind.eq_ignore_ascii_case(none))
    }) {
        return None;
    }
    let target = last(&["target", "dst", "destination"]).and_then(|field| field.value.clone());
    // The place of the name alone, where the value stands in the text as it is.
    let span = if from.span.len() == "from=".len() + name.len() {
        Span::new(
            from.span.start as usize + "from=".len(),
            from.span.end as usize,
        )
    } else {
        from.span
    };
    Some((Spanned::new(name, span), target.unwrap_or_default()))
}
