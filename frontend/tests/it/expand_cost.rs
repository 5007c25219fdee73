//! What expansion costs, counted in variables that are looked up.

use acetate_frontend::ast::Escape;
use acetate_frontend::expand::{Lookup, expand_heredoc, expand_word, expand_words};
use std::borrow::Cow;
use std::cell::Cell;

/// Counts what is asked; every variable is empty.
struct Counting(Cell<usize>);

impl Lookup for Counting {
    fn get(&self, _: &str) -> Option<Cow<'_, str>> {
        self.0.set(self.0.get() + 1);
        Some(Cow::Borrowed(""))
    }
}

fn n_lookups(text: &str) -> [usize; 3] {
    let count = |work: &dyn Fn(&Counting)| {
        let counting = Counting(Cell::new(0));
        work(&counting);
        counting.0.get()
    };
    [
        count(&|it| drop(expand_word(text, Escape::Backslash, it).unwrap())),
        count(&|it| drop(expand_words(text, Escape::Backslash, it).unwrap())),
        count(&|it| drop(expand_heredoc(text, it).unwrap())),
    ]
}

/// Each variable that is written is looked up at most once, however many there are.
#[test]
fn lookups_are_linear_in_the_text() {
    for form in [
        "$A ",
        "${A}/",
        "${A:-x} ",
        "${A:+x} ",
        "${A#x} ",
        "${A%%*x} ",
        "${A/x/y} ",
        "${A//x/y} ",
        "${A:-${B}} ",
        "${A/${B}/${C}} ",
    ] {
        let n_names = form.matches('$').count();
        for n in [1, 100, 10_000] {
            for found in n_lookups(&form.repeat(n)) {
                assert!(found <= n * n_names, "{form}: {found} lookups for {n}");
                assert!(found >= n, "{form}: {found} lookups for {n}");
            }
        }
    }
}

/// Defaults inside of defaults are read once, not once for each level.
#[test]
fn lookups_are_linear_in_the_depth() {
    for (open, close) in [
        ("${A:-", "}"),
        ("${A:-\"", "\"}"),
        ("${A/x/", "}"),
        ("${A#", "}"),
    ] {
        for depth in [1, 10, 90] {
            let text = format!("{}{}", open.repeat(depth), close.repeat(depth));
            for found in n_lookups(&text) {
                assert!(found <= depth, "{open}: {found} lookups at depth {depth}");
            }
        }
    }
}

/// What comes out of a variable is not read again, so that nothing can grow beyond its parts.
#[test]
fn values_are_not_expanded() {
    let env = [("A", "$B$B"), ("B", "$A$A")];
    let expanded = expand_word("$A${B:-x}${U:-$A}", Escape::Backslash, &env).unwrap();
    assert_eq!(expanded.text, "$B$B$A$A$B$B");
}
