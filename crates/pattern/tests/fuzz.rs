//! Changed ignore files without end: a bounded number in each run of the tests, and as many as
//! `ACETATE_FUZZ_SECONDS` allows when it is set. `ACETATE_FUZZ_SEED` chooses where to begin.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use acetate_pattern::{GoPattern, IgnoreMatcher, ParentsPattern};
use std::time::{Duration, Instant};

/// How many texts are tried when nobody says how long.
const N_TEXTS: u64 = 3_000;
/// Longer than this for some lines is no longer linear, on the slowest machine.
const MAX_TIME: Duration = Duration::from_secs(20);

const SEEDS: &[&str] = &[
    "*\n!src\n!src/**\nsrc/**/*.test\n",
    "# c\n**/node_modules\n.git\n*.log\n!important.log\n",
    "/*\n!/a\n/a/*\n!/a/b\n",
    "a/**/b\n!a/x/b\na/./c/\n../d\n",
    "[a-c]x\n[^a]b\na\\*b\n\\!a\n*/??/*\n",
    "\u{feff}größe\r\n*.ü\r\n a b \n",
    "**\n!**/*.md\n***\n**a**b**\n",
];

const PARTS: &[&str] = &[
    "*", "**", "?", "/", "**/", "/**", "!", "#", "[", "]", "[a-c]", "[^a]", "\\", ".", "..", "./",
    "a", "b", "ab", "ü", "🦀", "\n", "\r\n", " ", "\t", "\n!", "\n#", "-", "{a,b}", "(", "+", "|",
    "^", "$", "\0", "\u{a0}",
];

const PATHS: &[&str] = &[
    "a",
    "b",
    "ab",
    "a/b",
    "a/x/b",
    "a/b/c/d",
    "b/a/ab",
    ".git/config",
    "src/a.test",
    "größe",
    "x.ü",
    "a*b",
    "!a",
    "#",
    "a b",
    "🦀/a",
    "src/x/y/z.md",
    "\u{a0}",
    "a\\b",
    "{a,b}",
];

/// Numbers that look random, by the splitmix64 algorithm.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let end = u64::try_from(end).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}

fn mutate(rng: &mut Rng) -> String {
    let mut chars: Vec<char> = SEEDS[rng.below(SEEDS.len())].chars().collect();
    for _ in 0..=rng.below(8) {
        let at = rng.below(chars.len() + 1);
        let end = (at + rng.below(6)).min(chars.len());
        let part = PARTS[rng.below(PARTS.len())];
        match rng.below(3) {
            0 => drop(chars.splice(at..at, part.chars())),
            1 => drop(chars.splice(at..end, part.chars())),
            _ => drop(chars.drain(at..end)),
        }
    }
    chars.into_iter().collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

#[test]
fn changed_rules_are_sound() {
    let seconds = number("ACETATE_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("ACETATE_FUZZ_SEED").unwrap_or(1);
    let start = Instant::now();
    let (mut n_texts, mut n_read) = (0, 0);
    while seconds.map_or(n_texts < N_TEXTS, |limit| start.elapsed() < limit) {
        let seed = first.wrapping_mul(1_000_000_007).wrapping_add(n_texts);
        let text = mutate(&mut Rng(seed));
        let begin = Instant::now();
        n_read += u64::from(check(&text));
        let taken = begin.elapsed();
        assert!(taken < MAX_TIME, "seed {seed} takes {taken:?}:\n{text}");
        n_texts += 1;
    }
    println!("{n_texts} texts, {n_read} of them read");
    assert!(n_read * 4 > n_texts, "too few of them are rules");
}

/// Nothing panics, whatever is asked, and the answers fit together.
fn check(text: &str) -> bool {
    for line in text.lines() {
        patterns(line);
    }
    let lines: Vec<&str> = text.split('\n').collect();
    let without_comments = lines.iter().all(|line| !line.starts_with('#'));
    let as_list = IgnoreMatcher::from_patterns(lines.iter().copied());
    let Ok(matcher) = IgnoreMatcher::parse(text) else {
        return false;
    };
    for path in PATHS {
        walking_misses_nothing(text, &matcher, path);
        if without_comments && !text.starts_with('\u{feff}') {
            let list = as_list.as_ref().expect("the same rules");
            assert_eq!(list.matches(path), matcher.matches(path), "{text:?} {path}");
        }
    }
    true
}

/// A walk that obeys both answers finds every path that stays.
fn walking_misses_nothing(text: &str, matcher: &IgnoreMatcher, path: &str) {
    if matcher.matches(path) {
        return;
    }
    for (at, _) in path.match_indices('/') {
        let dir = &path[..at];
        let entered = !matcher.matches(dir) || matcher.may_contain_exceptions_below(dir);
        assert!(entered, "{text:?} hides {path:?} below {dir}");
    }
}

fn patterns(line: &str) {
    let (go, parents) = (GoPattern::new(line), ParentsPattern::new(line));
    assert!(go.is_ok() || parents.is_err(), "{line:?}");
    for path in PATHS {
        let dirs = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Ok(go) = &go
            && go.matches(path)
        {
            dirs.clone()
                .for_each(|dir| assert!(go.may_match_below(dir), "{line:?} {path}"));
        }
        if let Ok(parents) = &parents
            && parents.matches(path)
        {
            assert!(parents.matches_or_parent(path), "{line:?} {path}");
            dirs.for_each(|dir| assert!(parents.may_match_below(dir), "{line:?} {path}"));
        }
    }
}
