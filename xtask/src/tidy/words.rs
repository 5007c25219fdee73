//! Texts name no package registry by its address: the machine's own settings decide where things
//! come from.

use std::path::Path;

use super::Finding;

/// First labels of the hosts that serve packages.
const HOSTS: &[&str] = &[
    "deb", "index", "static", "files", "registry", "proxy", "sum", "snapshot",
];

/// Under this name Docker's files keep the login of its registry of images: nothing is fetched there.
const LOGIN: &str = "index.docker.io/v1/";

pub(super) fn check(path: &Path, content: &str) -> Vec<Finding> {
    // A lock file is written by cargo, with the address in it.
    if path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let lines = content
        .lines()
        .enumerate()
        .filter(|(_, line)| names_registry(line));
    lines
        .map(|(n, _)| Finding::new(path, n + 1, "the address of a package registry"))
        .collect()
}

fn names_registry(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        if rest.starts_with(LOGIN) {
            return false;
        }
        let host = rest
            .split(['/', ' ', '"', '`', ':'])
            .next()
            .unwrap_or_default();
        let labels: Vec<&str> = host.split('.').collect();
        let real = matches!(labels.last(), Some(&("org" | "io" | "com")));
        labels.len() == 3 && real && HOSTS.contains(&labels[0])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_registries_are_found() {
        let registry = ["https://index", "somewhere", "io/x"].join(".");
        assert_eq!(check(Path::new("a.md"), &registry).len(), 1);
        assert!(check(Path::new("Cargo.lock"), &registry).is_empty());
        let others =
            "https://example.org/index http://mirror.example/debian oci-layout://deb.x.y\n";
        assert!(check(Path::new("a.md"), others).is_empty());
        let login = "https://index.docker.io/v1/";
        assert!(check(Path::new("a.md"), login).is_empty());
        let other = login.replace("v1", "v2");
        assert_eq!(check(Path::new("a.md"), &other).len(), 1);
    }
}
