//! Checks of single instructions.

use crate::ast::{Instruction, InstructionKind, KeyValue};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// MAINTAINER.
pub(crate) fn maintainer(item: &Instruction) -> Option<Diagnostic> {
    if !matches!(item.kind, InstructionKind::Maintainer(_)) {
        return None;
    }
    let message = "Maintainer instruction is deprecated in favor of using label";
    let warning = Diagnostic::warning("MaintainerDeprecated", message).at(item.keyword.span);
    Some(warning.with_hint("write `LABEL org.opencontainers.image.authors=...`"))
}

/// `ENV name value` and `LABEL name value`.
pub(crate) fn legacy_pair(item: &Instruction, pairs: &[KeyValue]) -> Option<Diagnostic> {
    let pair = pairs.iter().find(|pair| pair.legacy)?;
    let name = item.keyword.as_str();
    let message = format!(
        "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
    );
    Some(Diagnostic::warning("LegacyKeyValueFormat", message).at(pair.span))
}

/// The shell form of CMD and ENTRYPOINT, where nobody chose the shell.
pub(crate) fn json_args(item: &Instruction) -> Diagnostic {
    let message = format!(
        "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
        item.keyword.value
    );
    Diagnostic::warning("JSONArgsRecommended", message).at(item.span)
}

/// A word of EXPOSE, variables filled in.
pub(crate) fn expose_format(word: &str, place: Span) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let protocol = word.split_once('/').map_or("", |(_, protocol)| protocol);
    if protocol != protocol.to_lowercase() {
        let message =
            format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
        found.push(Diagnostic::warning("ExposeProtoCasing", message).at(place));
    }
    let is_mapping = word
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.is_empty());
    if is_mapping {
        let message = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
        );
        found.push(Diagnostic::warning("ExposeInvalidFormat", message).at(place));
    }
    found
}
