//! Whether programs of other processors can be run here.

use acetate_oci::Platform;
use std::path::{Path, PathBuf};

/// Where the kernel tells what runs foreign programs (Documentation/admin-guide/binfmt-misc.rst).
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// Where `e_machine` is in a program, and so in what marks it (ELF header, System V ABI).
const MACHINE_AT: usize = 18;

/// Go's names of processors and their numbers in programs; of these, the last two have their bytes
/// the other way around.
const MACHINES: &[(&str, [u8; 2])] = &[
    ("386", [3, 0]),
    ("mips64le", [8, 0]),
    ("ppc64le", [21, 0]),
    ("arm", [40, 0]),
    ("amd64", [62, 0]),
    ("arm64", [183, 0]),
    ("riscv64", [243, 0]),
    ("loong64", [2, 1]),
    ("s390x", [0, 22]),
    ("ppc64", [0, 21]),
];

/// What runs the programs of a platform on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulator {
    /// The processor itself.
    Native,
    /// A program that the kernel starts for them, wherever they are.
    Registered,
    /// A program that the kernel would start if it were in the image, too: it was registered without
    /// the flag `F`.
    Outside(PathBuf),
    /// Nothing.
    Missing,
}

impl Emulator {
    /// Looks for what runs the programs of a platform here.
    pub fn of(platform: &Platform) -> Self {
        Self::among(
            platform,
            &Platform::host(),
            &registered(Path::new(REGISTERED)),
        )
    }

    fn among(wanted: &Platform, host: &Platform, entries: &[String]) -> Self {
        if is_native(wanted, host) {
            return Self::Native;
        }
        let machine = MACHINES
            .iter()
            .find(|(name, _)| *name == wanted.architecture);
        let Some((_, machine)) = machine else {
            return Self::Missing;
        };
        let mut found = Self::Missing;
        for entry in entries.iter().filter_map(|text| Entry::read(text)) {
            if entry.machine != *machine {
                continue;
            }
            if entry.is_fixed {
                return Self::Registered;
            }
            found = Self::Outside(entry.interpreter.into());
        }
        found
    }
}

/// True where the processor runs the other's programs itself.
fn is_native(wanted: &Platform, host: &Platform) -> bool {
    let pair = (host.architecture.as_str(), wanted.architecture.as_str());
    host.architecture == wanted.architecture || matches!(pair, ("amd64", "386") | ("arm64", "arm"))
}

/// The texts of all entries; none where the kernel has no such file system.
fn registered(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.path());
    let own = names.filter(|path| !path.ends_with("register") && !path.ends_with("status"));
    own.filter_map(|path| std::fs::read_to_string(path).ok())
        .collect()
}

/// What one file there says.
struct Entry {
    machine: [u8; 2],
    interpreter: String,
    is_fixed: bool,
}

impl Entry {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some("enabled") {
            return None;
        }
        let word = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        // A mark that begins elsewhere, or after an extension, is none of a program.
        if word("offset ")? != "0" {
            return None;
        }
        let magic = word("magic ")?;
        let byte = |at: usize| {
            let hex = magic.get(2 * at..2 * at + 2)?;
            u8::from_str_radix(hex, 16).ok()
        };
        Some(Self {
            machine: [byte(MACHINE_AT)?, byte(MACHINE_AT + 1)?],
            interpreter: word("interpreter ")?.to_owned(),
            is_fixed: word("flags:").is_some_and(|flags| flags.contains('F')),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: &str, flags: &str) -> String {
        format!(
            "{state}\ninterpreter /usr/bin/qemu-aarch64\nflags: {flags}\noffset 0\n\
             magic 7f454c460201010000000000000000000200b700\n\
             mask ffffffffffffff00fffffffffffffffffeffffff\n"
        )
    }

    fn found(host: &str, wanted: &str, entries: &[String]) -> Emulator {
        Emulator::among(&wanted.parse().unwrap(), &host.parse().unwrap(), entries)
    }

    #[test]
    fn an_entry_counts_when_it_is_enabled_and_works_in_images() {
        let (amd, arm) = ("linux/amd64", "linux/arm64");
        assert_eq!(found(amd, arm, &[]), Emulator::Missing);
        assert_eq!(
            found(amd, arm, &[entry("enabled", "POCF")]),
            Emulator::Registered
        );
        assert_eq!(
            found(amd, arm, &[entry("disabled", "F")]),
            Emulator::Missing
        );
        let outside = Emulator::Outside("/usr/bin/qemu-aarch64".into());
        assert_eq!(found(amd, arm, &[entry("enabled", "")]), outside);
        let both = [entry("enabled", ""), entry("enabled", "F")];
        assert_eq!(found(amd, arm, &both), Emulator::Registered);
        assert_eq!(found(amd, "linux/s390x", &both), Emulator::Missing);
        assert_eq!(found(amd, "linux/unheard", &both), Emulator::Missing);
        let python = "enabled\ninterpreter /usr/bin/python3\nflags: \nextension .py\n".to_owned();
        assert_eq!(found(amd, arm, &[python, String::new()]), Emulator::Missing);
    }

    #[test]
    fn some_processors_run_programs_of_others() {
        for (host, wanted) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64", "linux/386"),
            ("linux/arm64", "linux/arm/v7"),
        ] {
            assert_eq!(found(host, wanted, &[]), Emulator::Native);
        }
        assert_eq!(found("linux/386", "linux/amd64", &[]), Emulator::Missing);
    }
}
