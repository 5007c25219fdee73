//! The tables of `testdata/expand` that hold whole forms and uses.

use acetate_frontend::ast::Escape;
use acetate_frontend::expand::{
    ExpandError, expand_for_display, expand_heredoc, expand_keep_quotes, expand_word, expand_words,
};
use std::collections::BTreeMap;

fn unmask(text: &str) -> String {
    text.replace('␊', "\n").replace('␠', " ").replace('␉', "\t")
}

/// Every form for a variable that is set, empty or not set.
#[test]
fn forms_by_state() {
    let env = [("V", "value"), ("E", ""), ("A", "1")];
    let table = include_str!("../../testdata/expand/states.txt");
    let mut n_checks = 0;
    let mut wrong = Vec::new();
    for row in table.lines().filter(|line| !line.starts_with("# ")) {
        let cells: Vec<&str> = row.split('|').collect();
        let [form, expected @ ..] = cells.as_slice() else {
            panic!("an empty row")
        };
        assert_eq!(expected.len(), 3, "{row}");
        for (name, cell) in ["V", "E", "U"].into_iter().zip(expected) {
            let word = unmask(form.trim()).replace('@', name);
            let cell = unmask(&cell.trim().replace('@', name));
            let found = match expand_word(&word, Escape::Backslash, &env) {
                Ok(expanded) => expanded.text,
                Err(error) => format!("!{error}"),
            };
            if found != cell {
                wrong.push(format!(
                    "{word}\n    expected {cell:?}\n    found    {found:?}"
                ));
            }
            n_checks += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n_checks >= 300, "{n_checks}");
}

/// How a row is read.
struct Reading {
    env: BTreeMap<String, String>,
    mode: String,
    escape: Escape,
}

impl Reading {
    /// Obeys a line that is no row.
    fn obeys(&mut self, line: &str) -> bool {
        if line.starts_with("# -") || line.starts_with("# `") || line.starts_with("# Texts") {
            return true;
        }
        let Some((head, rest)) = line.split_once(' ') else {
            return false;
        };
        match head {
            "%set" => {
                let (name, value) = rest.split_once('=').expect("a pair");
                self.env.insert(name.to_owned(), unmask(value));
            }
            "%mode" => rest.clone_into(&mut self.mode),
            "%escape" if rest == "`" => self.escape = Escape::Backtick,
            "%escape" => self.escape = Escape::Backslash,
            _ => return false,
        }
        true
    }

    fn read(&self, input: &str) -> Result<String, ExpandError> {
        let (escape, env) = (self.escape, &self.env);
        match self.mode.as_str() {
            "word" => expand_word(input, escape, env).map(|it| it.text),
            "words" => expand_words(input, escape, env).map(|it| it.words.join("|")),
            "heredoc" => expand_heredoc(input, env).map(|it| it.text),
            "keep" => expand_keep_quotes(input, escape, env).map(|it| it.text),
            "display" => Ok(expand_for_display(input, escape, env)),
            other => panic!("no mode is called {other}"),
        }
    }
}

/// Texts as they stand in Dockerfiles, in every way of reading.
#[test]
fn uses() {
    let n_rows = check(include_str!("../../testdata/expand/uses.txt"));
    assert!(n_rows >= 250, "{n_rows}");
}

/// Texts that nobody would write.
#[test]
fn generated() {
    let n_rows = check(include_str!("../../testdata/expand/generated.txt"));
    assert!(n_rows >= 700, "{n_rows}");
}

/// Reads a table and returns the number of its rows.
fn check(table: &str) -> usize {
    let mut reading = Reading {
        env: BTreeMap::new(),
        mode: String::new(),
        escape: Escape::Backslash,
    };
    let mut n_rows = 0;
    let mut wrong = Vec::new();
    for line in table.lines() {
        if reading.obeys(line) {
            continue;
        }
        let (input, expected) = match line.rsplit_once(" => ") {
            Some((input, "(empty)" | "(none)")) => (input, String::new()),
            Some((input, output)) => (input, unmask(output)),
            None => {
                let (input, message) = line.split_once(" !! ").expect("a row has => or !!");
                (input, format!("!{message}"))
            }
        };
        let found = match reading.read(&unmask(input)) {
            Ok(text) => text,
            Err(error) => format!("!{error}"),
        };
        if found != expected {
            wrong.push(format!("{}: {line}\n    found {found:?}", reading.mode));
        }
        n_rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    n_rows
}
