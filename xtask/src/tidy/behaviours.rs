//! Every behaviour of docs/dev/behaviours.md is named by a test, and no test names another one.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, Text};

const PAGE: &str = "docs/dev/behaviours.md";

/// A line of the table.
struct Row {
    line: usize,
    /// Its state says that nothing shows it yet.
    is_open: bool,
}

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let page = Path::new(PAGE);
    let Some(table) = texts.iter().find(|text| text.path == page) else {
        return Vec::new();
    };
    let rows = rows(&table.content);
    let mut named: BTreeMap<u32, (&Path, usize)> = BTreeMap::new();
    for text in texts {
        for (line, number) in numbers(text) {
            named.entry(number).or_insert((&text.path, line));
        }
    }
    let mut findings = Vec::new();
    for (number, row) in &rows {
        let words = match (row.is_open, named.contains_key(number)) {
            (false, false) => format!("no test names S{number}"),
            (true, true) => format!("S{number} has a test and is open no longer"),
            _ => continue,
        };
        findings.push(Finding::new(page, row.line, words));
    }
    let unknown = named
        .iter()
        .filter(|(number, _)| !rows.contains_key(*number));
    findings.extend(unknown.map(|(number, (file, line))| {
        Finding::new(file, *line, format!("S{number} is not in {PAGE}"))
    }));
    findings
}

fn rows(page: &str) -> BTreeMap<u32, Row> {
    let rows = page.lines().enumerate().filter_map(|(n, line)| {
        let mut cells = line.strip_prefix("| S")?.split('|').map(str::trim);
        let number = cells.next()?.parse().ok()?;
        let row = Row {
            line: n + 1,
            is_open: cells.nth(1).is_some_and(|state| state == "open"),
        };
        Some((number, row))
    });
    rows.collect()
}

/// The numbers that a file's tests name, each with its line: by functions in a source, by the
/// first line of a case, and by the heads in a file of cases.
fn numbers(text: &Text) -> Vec<(usize, u32)> {
    let is_corpus = text.path.starts_with("tests");
    let lines = text.content.lines().enumerate();
    let mut found = Vec::new();
    for (n, line) in lines {
        let title = match line.strip_prefix("=== ") {
            Some(title) if is_corpus && text.is("txt") => Some(title),
            _ if is_corpus && text.is("case") && n == 0 => Some(line),
            _ => None,
        };
        let words = title.map(leading).unwrap_or_default();
        found.extend(words.into_iter().map(|number| (n + 1, number)));
        if text.is("rs") {
            found.extend(function(line).map(|number| (n + 1, number)));
        }
    }
    found
}

/// `S32 S41 a title`: the numbers at its front.
fn leading(title: &str) -> Vec<u32> {
    title
        .split(' ')
        .map_while(|word| word.strip_prefix('S')?.parse().ok())
        .collect()
}

/// The number of `fn s41_links_are_followed`.
fn function(line: &str) -> Option<u32> {
    let name = line.trim_start().strip_prefix("fn s")?;
    name.split_once('_')?.0.parse().ok()
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
    fn table_and_tests_are_compared_both_ways() {
        let page = "| number | b | state |\n|---|---|---|\n| S1 | a | |\n| S2 | b | |\n\
                    | S3 | c | open |\n| S4 | d | |\n| S5 | e | open |\n| S6 | f | |\n";
        let texts = [
            text(PAGE, page),
            text("crates/a/src/b.rs", "    fn s1_it_is_so() {}\n"),
            text("tests/differential/a/b.case", "S4 S5 a title\n//- S6 f\n"),
            text("tests/cases/x.txt", "S6 prose\n=== S7 more\n"),
        ];
        let said: Vec<String> = check(&texts).iter().map(Finding::to_string).collect();
        assert_eq!(
            said,
            [
                "docs/dev/behaviours.md:4: no test names S2",
                "docs/dev/behaviours.md:7: S5 has a test and is open no longer",
                "docs/dev/behaviours.md:8: no test names S6",
                "tests/cases/x.txt:2: S7 is not in docs/dev/behaviours.md",
            ]
        );
    }

    #[test]
    fn only_names_that_begin_with_a_number_count() {
        assert_eq!(function("fn s41_links()"), Some(41));
        assert_eq!(function("fn s3cond_x()"), None);
        assert_eq!(function("fn sort_all()"), None);
        assert_eq!(leading("S1 S22 and S3"), [1, 22]);
    }
}
