use proptest::prelude::*;

use super::{GoPattern, has_meta};

/// Pattern, path, match.
const ROWS: &[(&str, &str, bool)] = &[
    ("", "", true),
    ("", "a", false),
    ("a", "", false),
    ("abc", "abc", true),
    ("abc", "abcd", false),
    ("abcd", "abc", false),
    ("a/b", "a/b", true),
    ("a/b", "a", false),
    ("a", "a/b", false),
    ("*", "", true),
    ("*", "abc", true),
    ("*", "a/b", false),
    ("*", "/", false),
    ("**", "abc", true),
    ("**", "a/b", false),
    ("***", "abc", true),
    ("*c", "abc", true),
    ("*c", "ab", false),
    ("*c", "c", true),
    ("*c", "cc", true),
    ("a*", "a", true),
    ("a*", "abc", true),
    ("a*", "ab/c", false),
    ("a*", "ba", false),
    ("a*/b", "abc/b", true),
    ("a*/b", "a/b", true),
    ("a*/b", "a/c/b", false),
    ("*/b", "a/b", true),
    ("*/b", "b", false),
    ("*/b", "a/c/b", false),
    ("*/*", "a/b", true),
    ("*/*", "a", false),
    ("*/*", "a/b/c", false),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
    ("a*b?c*x", "abxbbxdbxebxczzx", true),
    ("a*b?c*x", "abxbbxdbxebxczzy", false),
    ("*.go", "main.go", true),
    ("*.go", ".go", true),
    ("*.go", "main.go.txt", false),
    ("*.tar.*", "x.tar.gz", true),
    ("*x", "xxx", true),
    ("*xy", "xxxy", true),
    ("*ab", "aab", true),
    ("a*a", "a", false),
    ("a*a", "aa", true),
    ("a**b", "axb", true),
    ("?", "a", true),
    ("?", "", false),
    ("?", "ab", false),
    ("?", "/", false),
    ("?", "ä", true),
    ("?", "日", true),
    ("??", "ä", false),
    ("a?b", "a/b", false),
    ("a?b", "a☺b", true),
    ("a???b", "a☺b", false),
    ("a?", "a", false),
    ("*?", "a", true),
    ("*?", "", false),
    ("?*", "ab", true),
    ("f?o.*", "foo.c", true),
    ("[a]", "a", true),
    ("[a]", "b", false),
    ("[abc]", "b", true),
    ("[a-c]", "b", true),
    ("[a-c]", "d", false),
    ("[c-a]", "b", false),
    ("[a-cx-z]", "y", true),
    ("[^a]", "b", true),
    ("[^a]", "a", false),
    ("[^a-c]", "d", true),
    ("[^a-c]", "b", false),
    ("[!a]", "!", true),
    ("[!a]", "b", false),
    ("ab[c]", "abc", true),
    ("ab[b-d]", "abc", true),
    ("ab[e-g]", "abc", false),
    ("ab[^c]", "abc", false),
    ("ab[^e-g]", "abc", true),
    ("a[^a]b", "a☺b", true),
    ("a[^a][^a][^a]b", "a☺b", false),
    ("[a-ζ]*", "α", true),
    ("*[a-ζ]", "A", false),
    ("[^a]", "/", true),
    ("a[^b]c", "a/c", true),
    ("[/]", "/", true),
    ("[[]", "[", true),
    ("[[]x]", "[x]", true),
    ("[\\]a]", "]", true),
    ("[\\]a]", "a", true),
    ("[\\-]", "-", true),
    ("[x\\-]", "x", true),
    ("[x\\-]", "-", true),
    ("[x\\-]", "z", false),
    ("[\\-x]", "-", true),
    ("[\\-x]", "a", false),
    ("[a^]", "^", true),
    ("[*]", "*", true),
    ("[*]", "a", false),
    ("[?]", "?", true),
    ("\\a", "a", true),
    ("\\*", "*", true),
    ("\\*", "a", false),
    ("\\?", "?", true),
    ("a\\*b", "a*b", true),
    ("a\\*b", "axb", false),
    ("a\\\\b", "a\\b", true),
    ("\\[a]", "[a]", true),
    ("a]", "a]", true),
    ("{a,b}", "{a,b}", true),
    ("{a,b}", "a", false),
    ("a.b", "axb", false),
    ("a+", "aa", false),
    ("a|b", "a", false),
    ("(a)", "a", false),
    ("^a$", "a", false),
    ("test-%C3%A4.txt", "test-%C3%A4.txt", true),
    ("ä*", "äö", true),
    (".*", ".git", true),
    (".*", "git", false),
    ("*", ".git", true),
    ("src/*.c", "src/a.c", true),
    ("src/*.c", "src/x/a.c", false),
    ("dir/*/file", "dir/a/file", true),
    ("dir/?/file", "dir/ab/file", false),
    ("a*c*e", "abcde", true),
    ("a*c*e", "abde", false),
    ("*a*", "bab", true),
    ("*a*", "bcb", false),
    ("*a*/*b*", "xax/yby", true),
    ("*a*/*b*", "xax/y", false),
    ("*.[ch]", "main.c", true),
    ("*.[ch]", "main.h", true),
    ("*.[ch]", "main.o", false),
    ("[0-9][0-9]", "42", true),
    ("[0-9][0-9]", "4", false),
    ("[^0-9]*", "a1", true),
    ("[^0-9]*", "1a", false),
    ("[a-zA-Z_]*", "_x", true),
    ("[a-zA-Z_]*", "0x", false),
    ("[ä-ü]", "ö", true),
    ("[ä-ü]", "a", false),
    ("[日-本]", "本", true),
    ("?/?/?", "a/b/c", true),
    ("?/?/?", "a/b", false),
    ("*/", "a/", true),
    ("*/", "a", false),
    ("/*", "/a", true),
    ("/*", "a", false),
    ("a//b", "a/b", false),
    ("a b", "a b", true),
    ("a\\ b", "a b", true),
    ("*\\**", "a*b", true),
    ("*\\**", "ab", false),
    ("\\[*\\]", "[x]", true),
    ("\\?", "a", false),
    ("\\\\", "\\", true),
    ("[\\\\]", "\\", true),
    ("[\\^]", "^", true),
    ("[\\a-\\c]", "b", true),
    ("file-?.txt", "file-1.txt", true),
    ("file-?.txt", "file-10.txt", false),
    ("*-*-*", "a-b-c", true),
    ("*-*-*", "a-b", false),
    ("**/*.go", "a/b.go", true),
    ("**/*.go", "a/b/c.go", false),
    ("**/*.go", "b.go", false),
    ("*/**", "a/b", true),
    ("*/**", "a/b/c", false),
    ("...", "...", true),
    ("[.]", ".", true),
    ("~*", "~a", true),
    ("$HOME", "$HOME", true),
    ("%2F", "/", false),
    ("*%*", "a%b", true),
    ("ab*", "ab", true),
    ("*ab", "ab", true),
    ("a*b", "a\nb", true),
    ("a?b", "a\nb", true),
    ("[^a]", "\n", true),
    // The first star takes the first place that fits and is not tried again, as in Go.
    ("*[/a]*x", "ba/x", false),
];

#[test]
fn matches_like_go() {
    assert!(ROWS.len() >= 100, "{}", ROWS.len());
    for (pattern, path, expected) in ROWS {
        let compiled = GoPattern::new(pattern).unwrap();
        assert_eq!(compiled.matches(path), *expected, "{pattern} {path}");
        assert_eq!(compiled.as_str(), *pattern);
    }
}

#[test]
fn refuses_what_go_refuses() {
    for pattern in [
        "[]a]", "[]]", "[-]", "[x-]", "[-x]", "\\", "a\\", "[a-b-c]", "[", "[^", "[^]", "[^bc",
        "[a", "a[", "a/b[", "[a-", "[a-]", "[\\", "[a\\", "*[", "a*[b", "[]", "[]*]", "[^]a]",
    ] {
        let error = GoPattern::new(pattern).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("syntax error in pattern `{pattern}`")
        );
    }
}

#[test]
fn bytes_that_are_not_utf8() {
    let pattern = GoPattern::new("a?b").unwrap();
    assert!(pattern.matches(b"a\xffb"));
    assert!(!pattern.matches(b"a\xff\xfeb"));
    assert!(GoPattern::new("*").unwrap().matches(b"\xff\xfe"));
    assert!(GoPattern::new("*b").unwrap().matches(b"\xe6\x97b"));
    assert!(!GoPattern::new("a").unwrap().matches(b"\xff"));
}

#[test]
fn meta_characters() {
    for (pattern, expected) in [
        ("a/b.c", false),
        ("a*", true),
        ("a?", true),
        ("[a", true),
        ("a]", false),
        ("a\\b", true),
    ] {
        assert_eq!(has_meta(pattern), expected, "{pattern}");
    }
}

#[test]
fn directories_to_enter() {
    for (pattern, dir, expected) in [
        ("a/b", "", true),
        ("a/b", "a", true),
        ("a/b", "a/b", false),
        ("a/b", "b", false),
        ("*/b/*.c", "x", true),
        ("*/b/*.c", "x/b", true),
        ("*/b/*.c", "x/c", false),
        ("*/b/*.c", "x/b/y", false),
        ("a*b*/c", "axby", true),
        ("a*b*/c", "axy", false),
        ("*", "a", false),
        ("*", "", true),
        ("a[^x]b/c", "z", true),
        ("a/*", "a", true),
        ("?/[ab]/c", "x/b", true),
        ("?/[ab]/c", "x/c", false),
    ] {
        let compiled = GoPattern::new(pattern).unwrap();
        assert_eq!(compiled.may_match_below(dir), expected, "{pattern} {dir}");
    }
}

#[test]
fn many_stars_stay_cheap() {
    let pattern = GoPattern::new(&"*a".repeat(500)).unwrap();
    assert!(!pattern.matches("a".repeat(499) + &"b".repeat(10_000)));
    assert!(pattern.matches("a".repeat(500)));
}

proptest! {
    #[test]
    fn never_panics(pattern in "[ab/*?^\\\\\\[\\]ä-]{0,12}", path in proptest::collection::vec(any::<u8>(), 0..12)) {
        if let Ok(compiled) = GoPattern::new(&pattern) {
            compiled.matches(&path);
            compiled.may_match_below(&path);
        }
    }

    /// A directory that holds a match may be entered.
    #[test]
    fn entering_misses_nothing(pattern in "[ab/*?]{0,8}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
        let compiled = GoPattern::new(&pattern).unwrap();
        if compiled.matches(&path) {
            for (at, _) in path.match_indices('/') {
                prop_assert!(compiled.may_match_below(&path[..at]));
            }
        }
    }

    #[test]
    fn plain_text_matches_itself_only(text in "[a-zä./ -]{0,8}", other in "[a-zä./ -]{0,8}") {
        let compiled = GoPattern::new(&text).unwrap();
        prop_assert!(compiled.matches(&text));
        prop_assert_eq!(compiled.matches(&other), text == other);
    }
}
