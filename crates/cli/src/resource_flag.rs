//! Reads `--resource` and the older flags that limit what a step may use up.

use crate::csv;
use crate::flags::LimitFlags;
use crate::size;
use acetate_engine::Resources;
use acetate_frontend::did_you_mean;
use anyhow::{Result, anyhow, bail};
use std::path::{Component, Path};

const KEYS: &[&str] = &[
    "memory",
    "memory-swap",
    "cpu-shares",
    "cpu-period",
    "cpu-quota",
    "cpuset-cpus",
    "cpuset-mems",
];

/// Reads all flags that limit; what `--resource` says goes before the older ones.
pub(crate) fn parse(flags: &LimitFlags) -> Result<Resources> {
    let mut found = Resources::default();
    for (key, value) in legacy(flags) {
        if let Some(value) = value {
            set(&mut found, key, value).map_err(|error| anyhow!("--{key} {value}: {error}"))?;
        }
    }
    for text in &flags.resource {
        list(&mut found, text).map_err(|error| anyhow!("--resource {text}: {error}"))?;
    }
    swap_fits(&mut found)?;
    found.cgroup_parent = flags.cgroup_parent.as_deref().map(group).transpose()?;
    Ok(found)
}

fn legacy(flags: &LimitFlags) -> [(&'static str, Option<&str>); 7] {
    [
        ("memory", flags.memory.as_deref()),
        ("memory-swap", flags.memory_swap.as_deref()),
        ("cpu-shares", flags.cpu_shares.as_deref()),
        ("cpu-period", flags.cpu_period.as_deref()),
        ("cpu-quota", flags.cpu_quota.as_deref()),
        ("cpuset-cpus", flags.cpuset_cpus.as_deref()),
        ("cpuset-mems", flags.cpuset_mems.as_deref()),
    ]
}

/// Several pairs of key and value. The commas inside a list of processors need no quotes.
fn list(found: &mut Resources, text: &str) -> Result<()> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for attribute in csv::attributes(text)? {
        match (attribute.value, pairs.last_mut()) {
            (Some(value), _) => pairs.push((attribute.key, value)),
            (None, Some((key, value))) if key.starts_with("cpuset-") => {
                value.push(',');
                value.push_str(&attribute.key);
            }
            (None, _) => bail!("`{}` has no value, expected KEY=VALUE", attribute.key),
        }
    }
    pairs
        .iter()
        .try_for_each(|(key, value)| set(found, key, value))
}

fn set(found: &mut Resources, key: &str, value: &str) -> Result<()> {
    match key {
        "memory" => found.memory = Some(memory(value)?),
        "memory-swap" if value == "-1" => found.memory_swap = Some(-1),
        "memory-swap" => found.memory_swap = Some(swap(value)?),
        "cpu-shares" => found.cpu_shares = Some(shares(value)?),
        "cpu-period" => found.cpu_period = Some(period(value)?),
        "cpu-quota" => found.cpu_quota = Some(quota(value)?),
        "cpuset-cpus" => found.cpuset_cpus = Some(set_of_numbers(value)?),
        "cpuset-mems" => found.cpuset_mems = Some(set_of_numbers(value)?),
        other => match did_you_mean(other, KEYS.iter().copied()) {
            Some(meant) => bail!("unknown resource `{other}` (did you mean {meant}?)"),
            None => bail!(
                "unknown resource `{other}`, expected one of {}",
                KEYS.join(", ")
            ),
        },
    }
    Ok(())
}

fn memory(value: &str) -> Result<u64> {
    size::bytes(value)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| anyhow!("`{value}` is no size, expected one such as 512m or 2g"))
}

fn swap(value: &str) -> Result<i64> {
    let bytes = memory(value)
        .ok()
        .and_then(|bytes| i64::try_from(bytes).ok());
    bytes
        .ok_or_else(|| anyhow!("`{value}` is no size, expected one such as 2g, or -1 for no limit"))
}

/// Swap is limited together with memory, never alone; no limit on no limit is nothing to say.
fn swap_fits(found: &mut Resources) -> Result<()> {
    let memory = found.memory.filter(|memory| *memory != 0);
    match (memory, found.memory_swap) {
        (None, Some(..=0)) => found.memory_swap = None,
        (None, Some(_)) => {
            bail!("memory-swap is memory and swap together, so memory is needed too")
        }
        (Some(memory), Some(both)) if both > 0 && both.unsigned_abs() < memory => {
            bail!("memory-swap is memory and swap together, so it must not be below memory")
        }
        _ => {}
    }
    Ok(())
}

fn shares(value: &str) -> Result<u64> {
    number(value)
        .filter(|shares| *shares == 0 || (2..=262_144).contains(shares))
        .ok_or_else(|| {
            anyhow!("`{value}` is no share, expected 2 to 262144, or 0 for the usual one")
        })
}

fn period(value: &str) -> Result<u64> {
    number(value)
        .filter(|period| *period == 0 || (1_000..=1_000_000).contains(period))
        .ok_or_else(|| anyhow!("`{value}` is no period, expected 1000 to 1000000 microseconds"))
}

fn quota(value: &str) -> Result<i64> {
    if value == "-1" {
        return Ok(-1);
    }
    number(value)
        .and_then(|quota| i64::try_from(quota).ok())
        .filter(|quota| *quota == 0 || *quota >= 1_000)
        .ok_or_else(|| {
            anyhow!(
                "`{value}` is no quota, expected at least 1000 microseconds, or -1 for no limit"
            )
        })
}

fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn set_of_numbers(text: &str) -> Result<String> {
    let is_range = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            matches!((small(first), small(last)), (Some(first), Some(last)) if first <= last)
        }
        None => small(part).is_some(),
    };
    if !text.split(',').all(is_range) {
        bail!("`{text}` is no set, expected numbers and ranges such as 0-2,4");
    }
    Ok(text.to_owned())
}

fn small(text: &str) -> Option<u64> {
    number(text).filter(|number| *number <= 65_535)
}

fn group(text: &str) -> Result<String> {
    let leaves = Path::new(text)
        .components()
        .any(|part| part == Component::ParentDir);
    if leaves || text.contains('\0') || text.trim_matches('/').is_empty() {
        bail!("--cgroup-parent {text}: expected a path below the top of the control groups");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Resources> {
        let resource = texts.iter().map(|text| (*text).to_owned()).collect();
        parse(&LimitFlags {
            resource,
            ..LimitFlags::default()
        })
    }

    #[test]
    fn every_resource_is_read() {
        let text = "memory=512m,memory-swap=1.5g,cpu-shares=512,cpu-period=50000,cpu-quota=25000,\
                    cpuset-cpus=0-2,4,cpuset-mems=0,1";
        let expected = Resources {
            cgroup_parent: None,
            memory: Some(512 << 20),
            memory_swap: Some(3 << 29),
            cpu_shares: Some(512),
            cpu_period: Some(50_000),
            cpu_quota: Some(25_000),
            cpuset_cpus: Some("0-2,4".to_owned()),
            cpuset_mems: Some("0,1".to_owned()),
        };
        assert_eq!(read(&[text]).unwrap(), expected);
        let apart = [
            "MEMORY=512m",
            "memory-swap=1.5g",
            "cpu-shares=512,cpu-period=50000",
            "cpu-quota=25000",
            "\"cpuset-cpus=0-2,4\"",
            "cpuset-mems=9",
            "cpuset-mems=0,1",
        ];
        assert_eq!(read(&apart).unwrap(), expected);
        assert!(read(&[]).unwrap().is_empty());
        assert!(read(&["memory-swap=-1"]).unwrap().is_empty());
    }

    #[test]
    fn the_older_flags_say_the_same_and_the_newer_one_wins() {
        let own = |text: &str| Some(text.to_owned());
        let older = LimitFlags {
            cgroup_parent: own("/build/ci"),
            memory: own("1g"),
            memory_swap: own("-1"),
            cpu_shares: own("2"),
            cpu_period: own("1000"),
            cpu_quota: own("-1"),
            cpuset_cpus: own("3"),
            cpuset_mems: own("0"),
            ..LimitFlags::default()
        };
        let mut expected = Resources {
            cgroup_parent: own("/build/ci"),
            memory: Some(1 << 30),
            memory_swap: Some(-1),
            cpu_shares: Some(2),
            cpu_period: Some(1000),
            cpu_quota: Some(-1),
            cpuset_cpus: own("3"),
            cpuset_mems: own("0"),
        };
        assert_eq!(parse(&older).unwrap(), expected);
        let resource = vec!["memory=2g,cpu-quota=5000".to_owned()];
        expected.memory = Some(2 << 30);
        expected.cpu_quota = Some(5000);
        assert_eq!(parse(&LimitFlags { resource, ..older }).unwrap(), expected);
    }

    #[test]
    fn what_is_no_resource_says_why() {
        for (text, words) in [
            ("", "`` has no value, expected KEY=VALUE"),
            ("memory", "`memory` has no value, expected KEY=VALUE"),
            ("memory=1g,4", "`4` has no value"),
            (
                "memroy=1g",
                "unknown resource `memroy` (did you mean memory?)",
            ),
            (
                "disk=1g",
                "unknown resource `disk`, expected one of memory, memory-swap",
            ),
            (
                "memory=much",
                "`much` is no size, expected one such as 512m or 2g",
            ),
            ("memory=-1", "`-1` is no size"),
            ("memory=9999999p", "is no size"),
            ("memory=1g,memory-swap=-2", "or -1 for no limit"),
            ("cpu-shares=1", "expected 2 to 262144"),
            ("cpu-shares=-2", "expected 2 to 262144"),
            ("cpu-shares=300000", "expected 2 to 262144"),
            ("cpu-period=1", "expected 1000 to 1000000 microseconds"),
            ("cpu-period=50ms", "expected 1000 to 1000000 microseconds"),
            ("cpu-quota=10", "expected at least 1000 microseconds"),
            ("cpu-quota=-5", "expected at least 1000 microseconds"),
            (
                "cpuset-cpus=",
                "`` is no set, expected numbers and ranges such as 0-2,4",
            ),
            ("cpuset-cpus=a", "`a` is no set"),
            ("cpuset-cpus=3-1", "`3-1` is no set"),
            ("cpuset-cpus=0,", "`0,` is no set"),
            ("cpuset-mems=0-", "`0-` is no set"),
            ("cpuset-mems=70000", "`70000` is no set"),
            ("\"memory=1g", "never closed"),
        ] {
            let error = format!("{:#}", read(&[text]).unwrap_err());
            assert!(
                error.starts_with(&format!("--resource {text}: ")),
                "{error}"
            );
            assert!(error.contains(words), "{text}: {error}");
        }
        for (text, words) in [
            ("memory-swap=1g", "so memory is needed too"),
            ("memory=0,memory-swap=1g", "so memory is needed too"),
            ("memory=2g,memory-swap=1g", "must not be below memory"),
        ] {
            let error = format!("{:#}", read(&[text]).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn groups_stay_below_the_top() {
        let read = |text: &str| {
            parse(&LimitFlags {
                cgroup_parent: Some(text.to_owned()),
                ..LimitFlags::default()
            })
        };
        for text in ["a", "/a/b", "system.slice", "a..b"] {
            assert_eq!(read(text).unwrap().cgroup_parent.as_deref(), Some(text));
        }
        for text in ["", "/", "..", "a/../b", "/.."] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--cgroup-parent {text}: expected a path")));
        }
    }
}
