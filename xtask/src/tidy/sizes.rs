//! Files of at most 600 lines, functions of at most 80, unless a comment gives the reason.
//!
//! `// tidy: long file because ...` stands anywhere in the file, `// tidy: long function because
//! ...` within the function or on the lines above it.

use std::path::Path;

use super::Finding;

const MOST_FILE_LINES: usize = 600;
const MOST_FUNCTION_LINES: usize = 80;
const FILE_REASON: &str = "// tidy: long file because ";
const FUNCTION_REASON: &str = "// tidy: long function because ";

pub(super) fn check(path: &Path, content: &str) -> Vec<Finding> {
    let lines: Vec<&str> = content.lines().collect();
    let mut findings = Vec::new();
    if lines.len() > MOST_FILE_LINES && !content.contains(FILE_REASON) {
        let count = lines.len();
        findings.push(Finding::new(
            path,
            0,
            format!("{count} lines; split it or give a reason"),
        ));
    }
    for (first, last) in functions(&lines) {
        let count = last - first + 1;
        let above = first.saturating_sub(3);
        let has_reason = lines[above..=last]
            .iter()
            .any(|line| line.contains(FUNCTION_REASON));
        if count > MOST_FUNCTION_LINES && !has_reason {
            let text = format!("a function of {count} lines; split it or give a reason");
            findings.push(Finding::new(path, first + 1, text));
        }
    }
    findings
}

/// First and last lines of the functions. rustfmt is relied upon: a function ends at the first
/// line that is a closing brace at the depth of its `fn`.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (first, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| starts_function(line))
    {
        let depth = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(depth));
        // A declaration ends in a semicolon and an empty function in a closing brace.
        let signature_end = lines[first..]
            .iter()
            .find(|line| line.ends_with(['{', ';', '}']));
        let has_body = signature_end.is_some_and(|line| line.ends_with('{'));
        let length = lines[first..].iter().position(|line| *line == closing);
        if let Some(length) = length.filter(|_| has_body) {
            found.push((first, first + length));
        }
    }
    found
}

fn starts_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let modifiers = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "async",
        "const",
        "unsafe",
        "default",
    ];
    let word = words.find(|word| !modifiers.contains(word) && !word.starts_with("pub(in"));
    word == Some("fn") && words.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize, reason: &str) -> String {
        let body = "    x();\n".repeat(lines - 2);
        format!("{reason}pub(crate) fn f() {{\n{body}}}\n")
    }

    #[test]
    fn long_files_need_a_reason() {
        let long = "// a line\n".repeat(601);
        assert_eq!(check(Path::new("a.rs"), &long).len(), 1);
        assert!(check(Path::new("a.rs"), &"// a line\n".repeat(600)).is_empty());
        let reasoned = format!("{FILE_REASON}it is one table.\n{long}");
        assert!(check(Path::new("a.rs"), &reasoned).is_empty());
    }

    #[test]
    fn long_functions_need_a_reason() {
        let findings = check(Path::new("a.rs"), &function(81, ""));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("81 lines"));
        assert!(check(Path::new("a.rs"), &function(80, "")).is_empty());
        let reason = format!("{FUNCTION_REASON}it is one match.\n");
        assert!(check(Path::new("a.rs"), &function(120, &reason)).is_empty());
    }

    #[test]
    fn one_line_functions_and_declarations_have_no_length() {
        let text = "trait T {\n    fn a(&self);\n    fn b(&self) {\n        x();\n    }\n}\n\
                    fn c() {}\nfn d() {\n    y();\n}\n";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(functions(&lines), [(2, 4), (7, 9)]);
    }
}
