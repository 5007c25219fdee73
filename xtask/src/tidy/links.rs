//! Links between the documents lead somewhere.

use std::path::Path;

use super::Finding;

pub(super) fn check(root: &Path, path: &Path, content: &str) -> Vec<Finding> {
    let folder = root
        .join(path)
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    let mut findings = Vec::new();
    let mut in_code = false;
    for (number, line) in content.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for target in targets(line).filter(|target| is_local(target)) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !folder.join(file).exists() {
                let text = format!("the link to `{target}` leads nowhere");
                findings.push(Finding::new(path, number + 1, text));
            }
        }
    }
    findings
}

/// What stands in `](...)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
}

fn is_local(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    #[test]
    fn only_links_to_missing_files_are_found() {
        let project = Project::locate().unwrap();
        let text = "[a](Cargo.toml) [b](gone.md)\n[c](https://example.org/gone.md)\n\
                    [d](xtask/src#here) [e](#part)\n```\n[f](gone.md)\n```\n";
        let findings = check(project.root(), Path::new("README.md"), text);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 1);
        assert!(findings[0].text.contains("gone.md"));
    }

    #[test]
    fn links_start_from_their_own_file() {
        let project = Project::locate().unwrap();
        let at = Path::new("xtask/README.md");
        assert!(check(project.root(), at, "[a](src/main.rs)").is_empty());
        assert_eq!(check(project.root(), at, "[a](xtask/src/main.rs)").len(), 1);
    }
}
