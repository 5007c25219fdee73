//! What package managers leave behind.

use super::shell::{Words, commands, program};
use crate::ast::{Instruction, InstructionKind, MountSpec};
use crate::diagnostic::Diagnostic;

/// A package manager.
struct Manager {
    programs: &'static [&'static str],
    /// The commands that leave something.
    verbs: &'static [&'static str],
    /// Where it is left; what removes or mounts one of these is enough.
    dirs: &'static [&'static str],
    /// A flag of the command itself that leaves nothing.
    flag: Option<&'static str>,
    /// The command that cleans up.
    clean: Option<&'static str>,
    fix: &'static str,
}

const MANAGERS: [Manager; 4] = [
    Manager {
        programs: &["apt-get", "apt", "aptitude"],
        verbs: &["update"],
        dirs: &["/var/lib/apt"],
        flag: None,
        clean: None,
        fix: "end the RUN with `rm -rf /var/lib/apt/lists/*`, or mount caches at /var/lib/apt and /var/cache/apt",
    },
    Manager {
        programs: &["apk"],
        verbs: &["add", "update", "upgrade"],
        dirs: &["/var/cache/apk", "/etc/apk/cache"],
        flag: Some("--no-cache"),
        clean: None,
        fix: "write `apk add --no-cache`, or mount a cache at /var/cache/apk",
    },
    Manager {
        programs: &["dnf", "microdnf", "yum"],
        verbs: &["install", "update", "upgrade", "groupinstall"],
        dirs: &["/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5"],
        flag: None,
        clean: Some("clean"),
        fix: "end the RUN with `dnf clean all`, or mount a cache at /var/cache/dnf",
    },
    Manager {
        programs: &["zypper"],
        verbs: &["install", "in", "update", "up", "refresh", "ref"],
        dirs: &["/var/cache/zypp"],
        flag: None,
        clean: Some("clean"),
        fix: "end the RUN with `zypper clean --all`, or mount a cache at /var/cache/zypp",
    },
];

pub(super) fn check(stage: &[Instruction], found: &mut Vec<Diagnostic>) {
    for item in stage {
        let InstructionKind::Run(run) = &item.kind else {
            continue;
        };
        let commands = commands(item);
        for manager in &MANAGERS {
            let Some(command) = commands.iter().find(|words| manager.leaves(words)) else {
                continue;
            };
            let is_mounted = run
                .flags
                .mounts
                .iter()
                .any(|mount| manager.is_mounted(mount));
            if is_mounted || commands.iter().any(|words| manager.is_cleaned(words)) {
                continue;
            }
            let (name, rest) = program(command);
            let verb = rest.first().copied().unwrap_or_default();
            let message = format!(
                "what `{name} {verb}` downloads to choose packages stays in the layer: {}",
                manager.fix
            );
            found.push(Diagnostic::warning("PackageListsLeft", message).at(item.span));
        }
    }
}

impl Manager {
    fn leaves(&self, words: &Words) -> bool {
        let (name, rest) = program(words);
        let is_quiet = self
            .flag
            .is_some_and(|flag| words.iter().any(|word| word == flag));
        let verb = rest.first().copied().unwrap_or_default();
        self.programs.contains(&name) && self.verbs.contains(&verb) && !is_quiet
    }

    fn is_cleaned(&self, words: &Words) -> bool {
        let (name, rest) = program(words);
        if matches!(name, "rm" | "find") {
            let mut removed = rest.iter();
            return removed.any(|path| self.dirs.iter().any(|dir| path.starts_with(dir)));
        }
        self.clean.is_some() && self.programs.contains(&name) && rest.first().copied() == self.clean
    }

    fn is_mounted(&self, mount: &MountSpec) -> bool {
        let mut fields = mount.fields.iter();
        fields.any(|field| {
            let is_target = matches!(field.key.as_str(), "target" | "dst" | "destination");
            let target = field.value.as_deref().unwrap_or_default();
            is_target && self.dirs.iter().any(|dir| target.starts_with(dir))
        })
    }
}
