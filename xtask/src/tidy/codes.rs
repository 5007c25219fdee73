//! Every diagnostic code is explained in docs/dev/errors.md, and nothing else is.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, Text};

const PAGE: &str = "docs/dev/errors.md";
/// Calls whose first argument is a code.
const CALLS: &[&str] = &["Diagnostic::error(", "Diagnostic::warning("];
/// The codes stand in the page's table, as first cell.
const ROW: &str = "| `";

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let mut used: BTreeMap<String, (&Path, usize)> = BTreeMap::new();
    for text in texts.iter().filter(|text| is_source(text)) {
        for (line, code) in codes(&text.content) {
            used.entry(code).or_insert((&text.path, line));
        }
    }
    let page = texts.iter().find(|text| text.path == Path::new(PAGE));
    let explained = page.map(|text| listed(&text.content)).unwrap_or_default();
    let missing = used
        .iter()
        .filter(|(code, _)| !explained.contains_key(*code));
    let mut findings: Vec<Finding> = missing
        .map(|(code, (file, line))| {
            Finding::new(file, *line, format!("the code `{code}` is not in {PAGE}"))
        })
        .collect();
    let gone = explained
        .iter()
        .filter(|(code, _)| !used.contains_key(*code));
    findings.extend(gone.map(|(code, line)| {
        Finding::new(
            Path::new(PAGE),
            *line,
            format!("no diagnostic has the code `{code}`"),
        )
    }));
    findings
}

/// A source of the frontend; tests make up codes of their own.
fn is_source(text: &Text) -> bool {
    let is_test = text
        .path
        .iter()
        .any(|part| part == "tests" || part == "tests.rs");
    text.is("rs") && text.path.starts_with("frontend") && !is_test
}

/// The codes in a source, each with the line of its call.
fn codes(content: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let content = content
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    for call in CALLS {
        let mut from = 0;
        while let Some(at) = content[from..].find(call) {
            let start = from + at + call.len();
            let literal = content[start..].trim_start().strip_prefix('"');
            if let Some((code, _)) = literal.and_then(|rest| rest.split_once('"')) {
                let line = content[..start].lines().count();
                found.push((line, code.to_owned()));
            }
            from = start;
        }
    }
    found
}

fn listed(page: &str) -> BTreeMap<String, usize> {
    let rows = page.lines().enumerate();
    rows.filter_map(|(n, line)| {
        Some((line.strip_prefix(ROW)?.split_once('`')?.0.to_owned(), n + 1))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn text(path: &str, content: &str) -> Text {
        Text {
            path: PathBuf::from(path),
            content: content.to_owned(),
        }
    }

    #[test]
    fn codes_and_page_are_compared_both_ways() {
        let source = "fn f() {\n    Diagnostic::error(\n        \"no-stage\",\n        \"x\");\n\
                      Diagnostic::warning(\"JSONArgs\", y);\n}\n";
        let page = "| code | what |\n|---|---|\n| `no-stage` | x |\n| `gone` | y |\n";
        let findings = check(&[text("frontend/src/a.rs", source), text(PAGE, page)]);
        let said: Vec<&str> = findings
            .iter()
            .map(|finding| finding.text.as_str())
            .collect();
        assert_eq!(
            said,
            [
                "the code `JSONArgs` is not in docs/dev/errors.md",
                "no diagnostic has the code `gone`"
            ]
        );
    }

    #[test]
    fn other_crates_and_tests_are_not_looked_at() {
        let source = "Diagnostic::error(\"x\", \"y\");\n";
        assert!(check(&[text("crates/cli/src/a.rs", source)]).is_empty());
        let tests = format!("#[cfg(test)]\nmod tests {{\n    {source}}}\n");
        assert!(check(&[text("frontend/src/a.rs", &tests)]).is_empty());
    }
}
