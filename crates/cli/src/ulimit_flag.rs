//! Reads `--ulimit`.

use acetate_frontend::did_you_mean;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;

/// The resources that can be limited.
const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads all of them: `name=soft:hard`, sorted by name, the last of a name, -1 for no limit.
pub(crate) fn parse_all(given: &[String]) -> Result<Vec<String>> {
    let mut found = BTreeMap::new();
    for text in given {
        let (name, limits) = parse(text).map_err(|error| anyhow!("--ulimit {text}: {error}"))?;
        found.insert(name, limits);
    }
    let line = |(name, (soft, hard)): (&str, (i64, i64))| format!("{name}={soft}:{hard}");
    Ok(found.into_iter().map(line).collect())
}

fn parse(text: &str) -> Result<(&'static str, (i64, i64))> {
    let Some((name, limits)) = text.split_once('=') else {
        bail!("expected NAME=SOFT[:HARD], such as nofile=1024:4096");
    };
    let Some(known) = NAMES.iter().find(|known| **known == name) else {
        let names = NAMES.join(", ");
        match did_you_mean(name, NAMES.iter().copied()) {
            Some(meant) => bail!("unknown limit `{name}` (did you mean {meant}?)"),
            None => bail!("unknown limit `{name}`, expected one of {names}"),
        }
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (limit(soft)?, limit(hard)?),
        None => (limit(limits)?, limit(limits)?),
    };
    if hard != UNLIMITED && (soft == UNLIMITED || soft > hard) {
        bail!("the soft limit must not be above the hard limit");
    }
    Ok((known, (soft, hard)))
}

const UNLIMITED: i64 = -1;

fn limit(text: &str) -> Result<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten();
    match number {
        Some(number) if number >= UNLIMITED => Ok(number),
        _ => bail!("`{text}` is no limit, expected a number, or -1 for none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Result<Vec<String>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        parse_all(&texts)
    }

    #[test]
    fn limits_are_complete_sorted_and_single() {
        for (given, expected) in [
            (&[][..], &[][..]),
            (&["nofile=1024"], &["nofile=1024:1024"]),
            (&["nofile=1024:4096"], &["nofile=1024:4096"]),
            (&["core=0"], &["core=0:0"]),
            (&["core=-1"], &["core=-1:-1"]),
            (&["core=5:-1"], &["core=5:-1"]),
            (&["nproc=007"], &["nproc=7:7"]),
            (
                &["nproc=1", "cpu=2:4", "nproc=3"],
                &["cpu=2:4", "nproc=3:3"],
            ),
            (
                &["fsize=9223372036854775807"],
                &["fsize=9223372036854775807:9223372036854775807"],
            ),
        ] {
            assert_eq!(all(given).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn what_is_no_limit_says_why() {
        for (text, words) in [
            ("", "expected NAME=SOFT[:HARD]"),
            ("nofile", "expected NAME=SOFT[:HARD]"),
            ("nofile:1", "expected NAME=SOFT[:HARD]"),
            (
                "nofiles=1",
                "unknown limit `nofiles` (did you mean nofile?)",
            ),
            ("NOFILE=1", "unknown limit `NOFILE` (did you mean nofile?)"),
            (
                "as=1",
                "unknown limit `as`, expected one of core, cpu, data",
            ),
            ("=1", "unknown limit ``"),
            ("nofile=", "`` is no limit"),
            (
                "nofile=a",
                "`a` is no limit, expected a number, or -1 for none",
            ),
            ("nofile=1:", "`` is no limit"),
            ("nofile=:1", "`` is no limit"),
            ("nofile=1:2:3", "`2:3` is no limit"),
            ("nofile=-2", "`-2` is no limit"),
            ("nofile=+2", "`+2` is no limit"),
            ("nofile= 2", "` 2` is no limit"),
            ("nofile=1k", "`1k` is no limit"),
            ("nofile=9223372036854775808", "is no limit"),
            ("nofile=2:1", "must not be above the hard limit"),
            ("nofile=-1:1", "must not be above the hard limit"),
        ] {
            let error = format!("{:#}", all(&[text]).unwrap_err());
            assert!(error.starts_with(&format!("--ulimit {text}: ")), "{error}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
