//! Every library begins by saying what it is, its main types, what it holds to, and what is not
//! in it.

use std::path::Path;

use super::Finding;

/// The parts after the first paragraph, by the words that may begin them.
const PARTS: &[(&str, &[&str])] = &[
    ("main types", &["main type", "main function", "types"]),
    ("invariants", &["invariant"]),
    ("not here", &["not here"]),
];

pub(super) fn check(path: &Path, content: &str) -> Vec<Finding> {
    let header: Vec<&str> = content
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    if header.first().is_none_or(|line| line.is_empty()) {
        return vec![Finding::new(
            path,
            1,
            "no first sentence in `//!` that says what this is",
        )];
    }
    let begins = |starts: &[&str]| {
        header.iter().any(|line| {
            let line = line.trim_start_matches(['#', '*', ' ', '-']).to_lowercase();
            starts.iter().any(|start| line.starts_with(start))
        })
    };
    let missing = PARTS.iter().filter(|(_, starts)| !begins(starts));
    missing
        .map(|(name, _)| Finding::new(path, 1, format!("the header has no part `{name}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_parts_are_wanted() {
        let good = "//! Digests.\n//!\n//! # Main types\n//! [`D`]\n//!\n//! # Invariants\n//! x\n\
                    //!\n//! # Not here\n//! y\n";
        assert!(check(Path::new("src/lib.rs"), good).is_empty());
        let short = good.replace("//! # Not here\n", "");
        let findings = check(Path::new("src/lib.rs"), &short);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("not here"));
    }

    #[test]
    fn paragraphs_serve_as_well_as_headings() {
        let text =
            "//! Digests.\n//! Main types: `D`.\n//! **Invariants**: none.\n//! Not here: I/O.\n";
        assert!(check(Path::new("src/lib.rs"), text).is_empty());
    }

    #[test]
    fn no_header_is_one_finding() {
        assert_eq!(check(Path::new("src/lib.rs"), "pub fn f() {}\n").len(), 1);
    }
}
