//! The machine's own package sources, brought into the form that mmdebstrap takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// The suite, its one-line entries, and what apt needs to reach them.
#[derive(Debug)]
pub(crate) struct Sources {
    suite: String,
    lines: Vec<String>,
    apt_options: Vec<String>,
}

/// A file of this machine that the image needs at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopiedFile {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

/// Used where the machine is not a Debian: mmdebstrap then knows the mirror itself.
const USUAL_SUITE: &str = "bookworm";
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

impl Sources {
    pub(crate) fn of_this_machine() -> Result<Self> {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let suite = codename(&release);
        let mut lines = Vec::new();
        if let Some(suite) = &suite {
            for file in source_files() {
                let text = fs::read_to_string(&file).unwrap_or_default();
                lines.extend(
                    if Path::new(&file).extension().is_some_and(|e| e == "sources") {
                        from_stanzas(&text, suite)
                    } else {
                        from_lines(&text, suite)
                    },
                );
            }
        }
        let suite = suite.unwrap_or_else(|| USUAL_SUITE.to_owned());
        Ok(Self {
            suite,
            lines,
            apt_options: apt_options()?,
        })
    }

    pub(crate) fn suite(&self) -> &str {
        &self.suite
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn apt_options(&self) -> &[String] {
        &self.apt_options
    }

    /// The certificate authorities, where a source is read over TLS.
    pub(crate) fn copied_files(&self) -> Vec<CopiedFile> {
        let tls = self.lines.iter().any(|line| line.contains("https://"));
        let wanted = tls && Path::new(AUTHORITIES).is_file();
        let file = CopiedFile {
            from: AUTHORITIES,
            to: "/etc/ssl/certs",
        };
        if wanted { vec![file] } else { Vec::new() }
    }
}

/// The release's name, on Debian only.
fn codename(release: &str) -> Option<String> {
    let value = |key: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let is_debian = value("ID").is_some_and(|id| id.trim_matches('"') == "debian");
    let name = value("VERSION_CODENAME").map(|name| name.trim_matches('"').to_owned());
    name.filter(|_| is_debian)
}

fn source_files() -> Vec<String> {
    let mut files = vec!["/etc/apt/sources.list".to_owned()];
    let entries = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten();
    files.extend(entries.map(|entry| entry.path().to_string_lossy().into_owned()));
    files.retain(|file| {
        let extension = Path::new(file).extension();
        extension.is_some_and(|e| e == "list" || e == "sources")
    });
    files.sort();
    files
}

/// A suite of the distribution itself, not one of somebody else's repository.
fn belongs(suite: &str, codename: &str) -> bool {
    let rest = suite.strip_prefix(codename);
    rest.is_some_and(|rest| ["", "-updates", "-security", "/updates"].contains(&rest))
}

fn from_lines(text: &str, codename: &str) -> Vec<String> {
    let entries = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("deb "));
    let ours = entries.filter(|line| line.split_whitespace().any(|word| belongs(word, codename)));
    ours.map(str::to_owned).collect()
}

fn from_stanzas(text: &str, codename: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let found = stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().split_whitespace()
        };
        if !field("Types").any(|kind| kind == "deb") || field("Enabled").any(|word| word == "no") {
            continue;
        }
        let signed_by = field("Signed-By").next();
        let options = signed_by.map_or_else(String::new, |file| format!("[signed-by={file}] "));
        let components: Vec<&str> = field("Components").collect();
        for uri in field("URIs") {
            for suite in field("Suites").filter(|suite| belongs(suite, codename)) {
                lines.push(format!(
                    "deb {options}{uri} {suite} {}",
                    components.join(" ")
                ));
            }
        }
    }
    lines
}

/// The proxy and certificate settings of this machine's apt, and of its environment.
fn apt_options() -> Result<Vec<String>> {
    let dump = match process::found("apt-config") {
        Some(program) => process::stdout(Command::new(program).arg("dump"))?,
        None => String::new(),
    };
    let mut options: Vec<String> = dump
        .lines()
        .filter(|line| is_reach(line))
        .map(unended)
        .collect();
    for scheme in ["http", "https"] {
        let variable = std::env::var_os(format!("{scheme}_proxy"));
        let known = options
            .iter()
            .any(|option| option.contains(&format!("::{scheme}::Proxy")));
        if let (Some(value), false) = (variable, known) {
            options.push(format!(
                "Acquire::{scheme}::Proxy \"{}\"",
                value.to_string_lossy()
            ));
        }
    }
    Ok(options)
}

fn is_reach(line: &str) -> bool {
    let set = !line.ends_with(" \"\";");
    let about = ["Acquire::http", "Acquire::https", "Acquire::ftp"];
    let topic = ["Proxy", "CaInfo", "Verify-Peer", "Verify-Host", "CaPath"];
    set && about.iter().any(|a| line.starts_with(a)) && topic.iter().any(|t| line.contains(t))
}

fn unended(line: &str) -> String {
    line.trim_end_matches(';').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "Types: deb\nURIs: http://mirror.example/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main contrib\n\
        Signed-By: /usr/share/keyrings/k.gpg\n\n\
        Types: deb\nURIs: https://other.example\nSuites: nodistro\nComponents: main\n";

    #[test]
    fn stanzas_become_lines_and_foreign_repositories_stay_out() {
        assert_eq!(
            from_stanzas(STANZAS, "bookworm"),
            [
                "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm main contrib",
                "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm-updates main contrib",
            ]
        );
    }

    #[test]
    fn lines_of_foreign_suites_stay_out() {
        let text = "# deb http://x.example bookworm main\ndeb https://x.example cloud-bookworm main\n\
                    deb http://m.example/debian bookworm-security main\n";
        assert_eq!(
            from_lines(text, "bookworm"),
            ["deb http://m.example/debian bookworm-security main"]
        );
    }

    #[test]
    fn only_debian_has_a_suite_for_us() {
        let debian = "NAME=\"D\"\nVERSION_CODENAME=trixie\nID=debian\n";
        assert_eq!(codename(debian).as_deref(), Some("trixie"));
        assert_eq!(codename("ID=fedora\nVERSION_CODENAME=\"\"\n"), None);
    }

    #[test]
    fn only_settings_that_help_to_reach_a_mirror_are_taken() {
        assert!(is_reach(
            "Acquire::http::Proxy \"http://proxy.example:3128\";"
        ));
        assert!(!is_reach("Acquire::http::Proxy \"\";"));
        assert!(!is_reach("Acquire::Languages \"none\";"));
    }
}
