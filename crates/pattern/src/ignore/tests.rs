use proptest::prelude::*;

use super::IgnoreMatcher;

/// Rules joined by line feeds, then paths: the ones after `-` are left out, the ones after `+` stay.
const TABLES: &[(&str, &str)] = &[
    ("", "+a +a/b"),
    ("\n\n  \n\t", "+a"),
    ("# only a comment", "+a +#"),
    (" # no comment", "-#\u{a0}no\u{a0}comment +a"),
    ("a", "-a -a/b -a/b/c +b +b/a +ab +ba"),
    ("/a", "-a -a/b +b/a"),
    ("./a", "-a -a/b"),
    ("a/", "-a -a/b"),
    ("a//b", "-a/b +a"),
    ("a/./b", "-a/b +a"),
    ("a/../b", "-b +a +a/b"),
    ("  a  ", "-a"),
    ("\ta\r", "-a"),
    ("a\r\nb\r\n", "-a -b +c"),
    ("\u{feff}a", "-a"),
    (".", "+a +.a"),
    ("/", "+a"),
    ("..", "+a"),
    ("../a", "+a"),
    ("a/b", "-a/b -a/b/c +a +a/c +b"),
    ("*", "-a -a/b -.git -.git/x"),
    ("*.c", "-a.c -.c +a.cc +x/a.c -d.c/e"),
    ("*/a", "-x/a -x/a/y +a +x/y/a"),
    ("*/*", "-a/b -a/b/c +a"),
    ("a*", "-a -ab -ab/c +ba +b/a"),
    ("a*b", "-ab -axb -axxb +axbc +a/b"),
    ("?", "-a -ä +ab -a/b"),
    ("a?", "-ab +a +abc +a/"),
    ("a/?", "-a/b +a/bc"),
    ("[a-c]x", "-ax -cx +dx"),
    ("[^a]x", "-bx +ax"),
    ("[!a]x", "-!x -ax +bx"),
    ("a[/]b", "-a/b"),
    ("\\*", "-* +a"),
    ("\\!a", "-!a +a"),
    ("\\#a", "-#a"),
    ("a\\?b", "-a?b +axb"),
    ("a\\\\b", "-a\\b"),
    ("a.c", "-a.c +abc"),
    ("a+", "-a+ +aa"),
    ("a|b", "-a|b +a +b"),
    ("(a)", "-(a) +a"),
    ("{a,b}", "-{a,b} +a"),
    ("^a$", "-^a$ +a"),
    ("a]", "-a]"),
    ("**", "-a -a/b -a/b/c"),
    ("**/a", "-a -x/a -x/y/a -x/a/y +xa +x/ya"),
    ("**/*.c", "-a.c -x/a.c -x/y/a.c +a.h"),
    ("**.c", "-a.c -x/a.c -.c +a.cc"),
    ("**a", "-a -xa -x/a -x/ya +ab"),
    ("**a*", "-a -ab -x/ab +xa"),
    ("a/**", "-a/b -a/b/c +a +b"),
    ("a**", "-a -ab -a/b -ab/c +b"),
    ("a/**/b", "-a/b -a/x/b -a/x/y/b +a/xb +b"),
    ("a**b", "-ab -ax/b -a/b +axb"),
    ("**/a/**", "-a/b -x/a/b +a +x/a"),
    ("**/a/b", "-a/b -x/a/b +a"),
    ("a/*/**", "-a/b/c -a/b/c/d +a/b +a"),
    ("**/**", "-a -a/b"),
    ("**/**/a", "-a -x/a -x/y/a"),
    ("**/", "-a -a/b"),
    ("a/**/", "-a/b +a"),
    ("***", "-a"),
    ("a\n!a", "+a +a/b"),
    ("!a\na", "-a -a/b"),
    ("a\n!a/b", "-a -a/c +a/b +a/b/c"),
    ("a\n!a/b\na/b/c", "-a +a/b -a/b/c +a/b/d"),
    ("*\n!a", "+a +a/b -b -b/a"),
    ("*\n!*.md\nREADME.md", "+a.md -README.md -a.txt -d/a.md"),
    ("**\n!**/*.md", "+a.md +x/a.md -a.txt"),
    (
        "*.md\n!README*.md\nREADME-secret.md",
        "-a.md +README.md +README1.md -README-secret.md",
    ),
    (
        "*.md\nREADME-secret.md\n!README*.md",
        "-a.md +README.md +README-secret.md",
    ),
    ("! a", "+a"),
    ("a\n!  a  ", "+a"),
    ("a\n! /a", "+a"),
    ("a\n!a/./b/", "-a +a/b"),
    ("!!a", "+a"),
    ("a\n!a\na\n!a", "+a"),
    ("a\n!a\na", "-a"),
    ("!a", "+a"),
    (
        "node_modules\n**/node_modules",
        "-node_modules/x -a/node_modules -a/node_modules/b +a/node",
    ),
    (
        ".git\n.gitignore",
        "-.git -.git/config -.gitignore +.github",
    ),
    ("**/.DS_Store", "-.DS_Store -a/b/.DS_Store"),
    (
        "target\n!target/release/app",
        "-target -target/debug +target/release/app -target/release",
    ),
    (
        "docs/**\n!docs/*.md",
        "-docs/a.txt +docs/a.md -docs/x/a.md +docs",
    ),
    (
        "*\n!src\n!src/**\nsrc/**/*.test",
        "+src +src/a -src/a.test -src/x/b.test -x",
    ),
    ("/*\n!/a\n/a/*\n!/a/b", "-x +a -a/c +a/b"),
    ("größe\n*.ü", "-größe -a.ü"),
    ("a b", "-a\u{a0}b"),
    ("* /", "-a -a/b"),
    ("/ a", "-a +b"),
    ("/ /", "+a"),
    ("a /\n!a/b /", "-a +a/b -a/c"),
    ("a/*/c", "-a/b/c -a/b/c/d +a/c +a/b/b/c +a/b"),
    ("a/b*/c", "-a/b/c -a/bx/c +a/xb/c"),
    ("*.tar.*", "-x.tar.gz -.tar. +x.tar +d/x.tar.gz"),
    ("**/*.tar.*", "-x.tar.gz -d/x.tar.gz -d/e/x.tar.gz/f +x.tar"),
    (
        "src/**/test",
        "-src/test -src/a/test -src/a/b/test/c +test +src/atest",
    ),
    (
        "src/**/*_test.go",
        "-src/a_test.go -src/x/b_test.go +src/test.go",
    ),
    ("**/.*", "-.a -b/.c -b/.c/d +a.b +b/c.d"),
    (".*", "-.a -.a/b +b/.c"),
    ("*.*", "-a.b -.c +a +d/a.b"),
    ("a?c/*", "-abc/d +ac/d +abc"),
    ("[ab]/[cd]", "-a/c -b/d -a/c/e +a/e +c/c"),
    ("[a-z0-9]*", "-a1 -0 +A +_"),
    ("[^.]*", "-a +.a -a/.b"),
    ("*\n!*/", "+a +a/b"),
    ("*\n!.gitignore\n!src/", "-a +.gitignore +src +src/x"),
    ("**\n!a/**\na/secret", "+a/b -a/secret -a/secret/x -a"),
    ("a/*\n!a/b", "-a/c +a/b +a/b/c +a"),
    ("a\n!a/*/c", "-a -a/b +a/b/c +a/b/c/d -a/c"),
    ("a\n!**/keep", "-a/b +a/keep +a/b/keep"),
    ("a/b/c\n!a/b", "+a/b/c +a/b/d"),
    (
        "dist\n!dist/index.html\ndist/index.html",
        "-dist/index.html -dist/x",
    ),
    (
        "*.log\n!important.log\nlogs",
        "-x.log +important.log -logs/important.log",
    ),
    ("a/b\n!a/b/c/d", "-a/b/c +a/b/c/d +a/b/c/d/e"),
    ("**/x/**/y", "-x/y -a/x/y -x/b/c/y -a/x/b/y/z +x +y +xy"),
    ("a/**/**/b", "-a/b -a/x/b -a/x/y/b"),
    ("**/a*", "-a -ab -x/ab/c +xa/b +ba"),
    ("***/a", "-x/a +b"),
    ("a/***", "-a/b +a"),
    ("ä?", "-äb -ää +ä +äbc"),
    ("%2e", "-%2e +."),
    ("a:b", "-a:b"),
    ("a,b", "-a,b +a"),
    ("a=b", "-a=b"),
    ("~", "-~ +a~"),
    ("a$", "-a$ +a"),
    ("a.b.c", "-a.b.c +a.bxc"),
    ("-", "-- +a"),
    (
        "vendor/*/*/testdata",
        "-vendor/a/b/testdata -vendor/a/b/testdata/x +vendor/a/testdata",
    ),
    ("# c\na\n#d\n!a/b", "-a +a/b"),
];

#[test]
fn tables() {
    let mut n_rows = 0;
    for (rules, paths) in TABLES {
        // A no-break space in the table stands for a blank.
        let matcher = IgnoreMatcher::parse(rules).unwrap();
        for row in paths.split(' ').map(|row| row.replace('\u{a0}', " ")) {
            let (sign, path) = row.split_at(1);
            assert_eq!(matcher.matches(path), sign == "-", "{rules:?} {path:?}");
            n_rows += 1;
        }
    }
    assert!(n_rows >= 200, "{n_rows}");
}

#[test]
fn errors() {
    for (rules, message) in [
        ("!", "illegal exclusion pattern: \"!\""),
        ("!/", "illegal exclusion pattern: \"!\""),
        ("a\n! / /", "illegal exclusion pattern: \"!\""),
        ("a\n! \nb", "illegal exclusion pattern: \"!\""),
        ("a\n\n[", "line 3: syntax error in pattern `[`"),
        ("a[", "line 1: syntax error in pattern `a[`"),
        ("a\\", "line 1: syntax error in pattern `a\\`"),
        ("# c\n![]a]", "line 2: syntax error in pattern `[]a]`"),
        ("**/[", "line 1: syntax error in pattern `**/[`"),
    ] {
        assert_eq!(
            IgnoreMatcher::parse(rules).unwrap_err().to_string(),
            message,
            "{rules:?}"
        );
    }
    assert!(IgnoreMatcher::parse("#!\n#[").unwrap().is_empty());
}

#[test]
fn excludes_have_no_comments() {
    let matcher = IgnoreMatcher::from_patterns(["#a", "", "*.o", "!keep.o"]).unwrap();
    for (path, expected) in [("#a", true), ("x.o", true), ("keep.o", false), ("a", false)] {
        assert_eq!(matcher.matches(path), expected, "{path}");
    }
    assert!(!matcher.is_empty());
}

#[test]
fn exceptions_below() {
    for (rules, dir, expected) in [
        ("a", "a", false),
        ("a\n!b", "a", false),
        ("a\n!a/b", "a", true),
        ("a\n!a/b", "a/c", false),
        ("a\n!a/b/c", "a/b", true),
        ("!a/b\na", "a", false),
        ("a\n!a/b\na", "a", false),
        ("a\n!**/x", "a", true),
        ("a\n!**/x", "a/b/c", true),
        ("a\n!*/x", "a", true),
        ("a\n!*/x", "a/b", false),
        ("*\n!*.md", "a", false),
        ("*\n!a/*.md", "a", true),
        ("*\n!a/*.md", "b", false),
        ("*\n!a*/b", "axy", true),
        ("*\n!a*/b", "xay", false),
        ("*\n!a\n!ab", "a", false),
        ("*\n!ab", "a", false),
        ("*\n!**.md", "a/b", true),
        ("", "a", false),
        ("*\n!a", "", true),
    ] {
        let matcher = IgnoreMatcher::parse(rules).unwrap();
        assert_eq!(
            matcher.may_contain_exceptions_below(dir),
            expected,
            "{rules:?} {dir:?}"
        );
    }
}

#[test]
fn no_pattern_explodes() {
    let rules = format!(
        "{}\n{}\n{}",
        "*a".repeat(200),
        "**/a".repeat(200),
        "a**".repeat(200)
    );
    let matcher = IgnoreMatcher::parse(&rules).unwrap();
    let path = "a/".repeat(2_000) + "b";
    matcher.matches(&path);
    assert!(
        !IgnoreMatcher::parse(&"*a".repeat(300))
            .unwrap()
            .matches("a".repeat(299) + "b")
    );
}

fn rules() -> impl Strategy<Value = String> {
    proptest::collection::vec("!?[ab/*?.]{1,6}|!?[ab*?\\[\\]^\\\\-]{0,5}|# x", 0..5)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), path in proptest::collection::vec(any::<u8>(), 0..12)) {
        if let Ok(matcher) = IgnoreMatcher::parse(&text) {
            matcher.matches(&path);
            matcher.may_contain_exceptions_below(&path);
        }
    }

    /// A walk that obeys both answers finds every path that stays.
    #[test]
    fn walking_misses_nothing(rules in rules(), path in "[ab.]{1,2}(/[ab.]{1,2}){0,3}") {
        let Ok(matcher) = IgnoreMatcher::parse(&rules) else { return Ok(()) };
        if !matcher.matches(&path) {
            for (at, _) in path.match_indices('/') {
                let dir = &path[..at];
                let entered = !matcher.matches(dir) || matcher.may_contain_exceptions_below(dir);
                prop_assert!(entered, "{:?} hides {} below {}", rules, path, dir);
            }
        }
    }

    /// The rule-by-rule definition: each matching rule sets the answer.
    #[test]
    fn last_match_wins(rules in rules(), path in "[ab.]{1,2}(/[ab.]{1,2}){0,3}") {
        let Ok(matcher) = IgnoreMatcher::parse(&rules) else { return Ok(()) };
        let mut expected = false;
        for rule in &matcher.rules {
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            if parents.chain([path.as_str()]).any(|path| rule.glob.matches(path.as_bytes())) {
                expected = !rule.is_exception;
            }
        }
        prop_assert_eq!(matcher.matches(&path), expected);
    }
}
