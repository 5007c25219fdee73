use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    ExpandError, FromFn, Lookup, expand_for_display, expand_heredoc, expand_keep_quotes,
    expand_word, expand_words,
};
use crate::ast::Escape;

const ENV: [(&str, &str); 15] = [
    ("V", "value"),
    ("A", "1"),
    ("E", ""),
    ("S", "a b c"),
    ("P", "/usr/local/bin"),
    ("F", "archive.tar.gz"),
    ("X", "aXbXc"),
    ("G", r"foo*bar?baz\qux"),
    ("D", "$V"),
    ("B", "[x]"),
    ("C", "{x}"),
    ("_under", "low"),
    ("a1", "alnum"),
    ("größe", "size"),
    ("PORTS", "3000 4000/udp"),
];

/// Runs a table and returns the number of its rows.
fn check(table: &str, expand: impl Fn(&str) -> Result<String, ExpandError>) -> usize {
    let unmask = |text: &str| text.replace('␊', "\n").replace('␠', " ");
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    let mut n_rows = 0;
    let mut wrong = Vec::new();
    for row in rows {
        let (input, expected) = match row.rsplit_once(" => ") {
            Some((input, "(empty)" | "(none)")) => (input, Ok(String::new())),
            Some((input, output)) => (input, Ok(unmask(output))),
            None => {
                let (input, message) = row.split_once(" !! ").expect("a row has => or !!");
                (input, Err(message.to_owned()))
            }
        };
        let found = expand(&unmask(input)).map_err(|error| error.message);
        if found != expected {
            wrong.push(format!("{row}\n    found {found:?}"));
        }
        n_rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    n_rows
}

#[test]
fn words_alone() {
    let table = include_str!("../../testdata/expand/word.txt");
    let n_rows = check(table, |word| {
        expand_word(word, Escape::Backslash, &ENV).map(|expanded| expanded.text)
    });
    assert!(n_rows >= 300, "{n_rows}");
}

#[test]
fn split_words() {
    let table = include_str!("../../testdata/expand/words.txt");
    check(table, |text| {
        expand_words(text, Escape::Backslash, &ENV).map(|expanded| expanded.words.join("|"))
    });
}

#[test]
fn heredocs() {
    let table = include_str!("../../testdata/expand/heredoc.txt");
    check(table, |body| {
        expand_heredoc(body, &ENV).map(|expanded| expanded.text)
    });
}

#[test]
fn kept_quotes() {
    let table = include_str!("../../testdata/expand/keep.txt");
    check(table, |word| {
        expand_keep_quotes(word, Escape::Backslash, &ENV).map(|expanded| expanded.text)
    });
}

#[test]
fn display() {
    let table = include_str!("../../testdata/expand/display.txt");
    check(table, |text| {
        Ok(expand_for_display(text, Escape::Backslash, &ENV))
    });
}

#[test]
fn backtick_escapes() {
    let table = include_str!("../../testdata/expand/backtick.txt");
    check(table, |word| {
        expand_word(word, Escape::Backtick, &ENV).map(|expanded| expanded.text)
    });
}

#[test]
fn reports_unset_names_once() {
    let unset = |word| expand_word(word, Escape::Backslash, &ENV).unwrap().unset;
    assert_eq!(
        unset("$U1 ${U2} $U1 ${U3#x} ${U4/a/b}"),
        ["U1", "U2", "U3", "U4"]
    );
    assert_eq!(
        unset("${U:-x} ${U-x} ${U:+x} ${U+x} $1 $@ $$ $V $E"),
        [""; 0]
    );
    assert_eq!(unset("'$U1' \\$U2 \"$U3\""), ["U3"]);
    assert_eq!(unset("${U:-$U1}"), ["U1"]);
}

#[test]
fn errors_know_their_place() {
    let offset = |word| {
        expand_word(word, Escape::Backslash, &ENV)
            .unwrap_err()
            .offset
    };
    assert_eq!(offset("ab${V:=w}"), 5);
    assert_eq!(offset("ab${U:?x}"), 2);
    assert_eq!(offset("ab${V#\\a}"), 6);
    assert_eq!(offset("ab'c"), 4);
}

#[test]
fn lookups() {
    let map = BTreeMap::from([("V".to_owned(), "map".to_owned())]);
    let text = |lookup: &dyn Lookup| expand_word("$V", Escape::Backslash, lookup).unwrap().text;
    assert_eq!(text(&map), "map");
    assert_eq!(text(&FromFn(|name: &str| Some(name.to_lowercase()))), "v");
    assert_eq!(text(&[("V", "first"), ("V", "last")]), "last");
}

#[test]
fn deep_nesting_is_refused() {
    let nested = |depth: usize| format!("{}x{}", "${U:-".repeat(depth), "}".repeat(depth));
    let expand = |text: &str| expand_word(text, Escape::Backslash, &ENV);
    assert_eq!(expand(&nested(100)).unwrap().text, "x");
    let error = expand(&nested(100_000)).unwrap_err();
    assert_eq!(
        error.message,
        "syntax error: substitutions are nested too deeply"
    );
}

/// Stars must not multiply the time.
#[test]
fn patterns_do_not_explode() {
    let value = "a".repeat(20_000);
    let env = [("V", value.as_str())];
    let stars = "*a".repeat(50);
    for word in [
        format!("${{V##{stars}b}}"),
        format!("${{V%%b{stars}}}"),
        format!("${{V//{stars}b/x}}"),
    ] {
        assert_eq!(
            expand_word(&word, Escape::Backslash, &env).unwrap().text,
            value
        );
    }
}

proptest! {
    #[test]
    fn never_panics(text in "([$]|[{]|[}]|[:#%/?+=*-]|[\"'`]|\\\\|V|U|ä| |\n){0,24}") {
        for escape in [Escape::Backslash, Escape::Backtick] {
            for result in [
                expand_word(&text, escape, &ENV),
                expand_keep_quotes(&text, escape, &ENV),
                expand_heredoc(&text, &ENV),
            ] {
                if let Err(error) = result {
                    prop_assert!(error.offset <= text.len());
                }
            }
            let _unused = expand_words(&text, escape, &ENV);
            expand_for_display(&text, escape, &ENV);
        }
    }

    #[test]
    fn plain_text_is_unchanged(text in "[^$'\"\\\\]*") {
        let expanded = expand_word(&text, Escape::Backslash, &ENV).unwrap();
        prop_assert_eq!(expanded.text, text);
    }

    #[test]
    fn single_quotes_keep_everything(text in "[^']*") {
        let expanded = expand_word(&format!("'{text}'"), Escape::Backslash, &ENV).unwrap();
        prop_assert_eq!(expanded.text, text);
    }
}
