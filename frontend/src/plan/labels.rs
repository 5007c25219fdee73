//! How steps are shown (S110): `[linux/arm64 build 2/5] RUN make`.

use super::resolve::Instance;
use super::resolve::Origin;
use super::triggers::Item;
use super::walk::Ctx;
use crate::ast::InstructionKind;
use acetate_oci::Platform;

/// Numbers the steps of one stage.
#[derive(Debug)]
pub(super) struct Numbering {
    prefix: String,
    next: usize,
    total: usize,
}

impl Numbering {
    /// Counts what will be numbered: the image brought in, RUN, COPY, ADD and WORKDIR.
    pub(super) fn new(ctx: &Ctx<'_>, instance: &Instance<'_>) -> Self {
        let pulled = usize::from(matches!(instance.base, Origin::Image(_)));
        let total = pulled
            + instance
                .items
                .iter()
                .filter(|item| is_counted(item))
                .count();
        let mut prefix = String::new();
        let target = &ctx.request.target_platforms()[instance.target];
        if ctx.multi_platform {
            prefix.push_str(&platforms(&instance.platform, target));
            prefix.push(' ');
        }
        if ctx.table.stages.len() > 1 {
            prefix.push_str(&ctx.table.label(instance.stage));
            prefix.push(' ');
        }
        Self {
            prefix,
            next: 1,
            total,
        }
    }

    /// The name of the next step.
    pub(super) fn next(&mut self, text: &str) -> String {
        let name = self.peek(text);
        self.next += 1;
        name
    }

    /// The same without counting it.
    pub(super) fn peek(&self, text: &str) -> String {
        let width = self.total.to_string().len();
        format!(
            "[{}{:width$}/{}] {text}",
            self.prefix, self.next, self.total
        )
    }
}

fn is_counted(item: &Item<'_>) -> bool {
    matches!(
        item.instruction.kind,
        InstructionKind::Run(_)
            | InstructionKind::Copy(_)
            | InstructionKind::Add(_)
            | InstructionKind::Workdir(_)
    )
}

/// `linux/arm64`, or `linux/amd64->arm64` for a step that runs on another platform than its target.
fn platforms(runs_on: &Platform, target: &Platform) -> String {
    if runs_on == target {
        return runs_on.to_string();
    }
    let full = target.to_string();
    let same_os = runs_on.os == target.os;
    let short = full
        .split_once('/')
        .filter(|_| same_os)
        .map_or(full.as_str(), |(_, rest)| rest);
    format!("{runs_on}->{short}")
}

/// The first line of a heredoc, with dots when there are more.
pub(super) fn summary(document: &str) -> String {
    let mut lines = document.trim().lines();
    let first = lines.next().unwrap_or_default();
    let dots = if lines.next().is_some() { "..." } else { "" };
    format!("{first}{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s110_cross_builds_show_both_platforms() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        for (runs_on, target, text) in [
            ("linux/arm64", "linux/arm64", "linux/arm64"),
            ("linux/amd64", "linux/arm64", "linux/amd64->arm64"),
            ("linux/amd64", "linux/arm/v7", "linux/amd64->arm/v7"),
            ("linux/amd64", "windows/amd64", "linux/amd64->windows/amd64"),
        ] {
            assert_eq!(platforms(&platform(runs_on), &platform(target)), text);
        }
    }

    #[test]
    fn heredocs_are_summarised() {
        assert_eq!(summary("\n echo a\n echo b\n"), "echo a...");
        assert_eq!(summary("echo a\n"), "echo a");
        assert_eq!(summary(""), "");
    }
}
