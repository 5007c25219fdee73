//! Which files of a control group carry out [`CgroupLimits`], and with which values.
//!
//! | limit | version 1 | version 2 |
//! |---|---|---|
//! | memory | `memory.limit_in_bytes` | `memory.max` |
//! | memory-swap | `memory.memsw.limit_in_bytes`, with memory | `memory.swap.max`, without |
//! | cpu-shares | `cpu.shares` | `cpu.weight`, on its own scale |
//! | cpu-period, cpu-quota | `cpu.cfs_period_us`, `cpu.cfs_quota_us` | `cpu.max` |
//! | cpuset-cpus, cpuset-mems | `cpuset.cpus`, `cpuset.mems` | the same |

use serde_json::{Map, Value, json};

use crate::error::ExecError;
use crate::request::CgroupLimits;

/// A part of the kernel that limits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Cpuset,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Cpuset];

    /// The kernel's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
        }
    }

    /// Returns the controllers that `limits` need, each with the limit that needs it first.
    pub(crate) fn needed(limits: &CgroupLimits) -> Vec<(Self, &'static str)> {
        let first = |controller| {
            let settings = settings(limits, controller, Version::One);
            settings.first().map(|setting| (controller, setting.limit))
        };
        Self::ALL.into_iter().filter_map(first).collect()
    }
}

/// The two interfaces of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// One value to write into a new group, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The name of the limit that it is for.
    pub(crate) limit: &'static str,
    pub(crate) file: &'static str,
    pub(crate) value: String,
}

/// Returns what one controller is told.
pub(crate) fn settings(
    limits: &CgroupLimits,
    controller: Controller,
    version: Version,
) -> Vec<Setting> {
    let set =
        |limit, file, value: Option<String>| value.map(|value| Setting { limit, file, value });
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let entries = match (controller, version) {
        (Controller::Memory, Version::One) => vec![
            set("memory", "memory.limit_in_bytes", number(limits.memory)),
            set(
                "memory-swap",
                "memory.memsw.limit_in_bytes",
                limits.memory_swap.map(|value| value.to_string()),
            ),
        ],
        (Controller::Memory, Version::Two) => vec![
            set("memory", "memory.max", number(limits.memory)),
            set("memory-swap", "memory.swap.max", swap_alone(limits)),
        ],
        (Controller::Cpu, Version::One) => vec![
            set("cpu-shares", "cpu.shares", number(limits.cpu_shares)),
            set("cpu-period", "cpu.cfs_period_us", number(limits.cpu_period)),
            set(
                "cpu-quota",
                "cpu.cfs_quota_us",
                limits.cpu_quota.map(|value| value.to_string()),
            ),
        ],
        (Controller::Cpu, Version::Two) => vec![
            set(
                "cpu-shares",
                "cpu.weight",
                limits.cpu_shares.map(|shares| weight(shares).to_string()),
            ),
            set(
                if limits.cpu_quota.is_some() {
                    "cpu-quota"
                } else {
                    "cpu-period"
                },
                "cpu.max",
                bandwidth(limits),
            ),
        ],
        (Controller::Cpuset, _) => vec![
            set("cpuset-cpus", "cpuset.cpus", limits.cpuset_cpus.clone()),
            set("cpuset-mems", "cpuset.mems", limits.cpuset_mems.clone()),
        ],
    };
    entries.into_iter().flatten().collect()
}

/// Version 2 counts swap apart from memory.
fn swap_alone(limits: &CgroupLimits) -> Option<String> {
    let both = limits.memory_swap?;
    Some(match u64::try_from(both) {
        Ok(both) => both.saturating_sub(limits.memory.unwrap_or(0)).to_string(),
        Err(_) => "max".into(),
    })
}

fn bandwidth(limits: &CgroupLimits) -> Option<String> {
    /// The kernel's own period.
    const PERIOD: u64 = 100_000;
    if limits.cpu_quota.is_none() && limits.cpu_period.is_none() {
        return None;
    }
    let quota = match limits.cpu_quota.map(u64::try_from) {
        Some(Ok(quota)) => quota.to_string(),
        _ => "max".into(),
    };
    Some(format!("{quota} {}", limits.cpu_period.unwrap_or(PERIOD)))
}

/// Converts shares (2 to 262144, usually 1024) to a weight (1 to 10000, usually 100): a curve through
/// these three points, the one that OCI runtimes use.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both sides are small positive numbers, clamped before and after"
)]
fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // The curve meets whole numbers; what a float is above them is no reason for the next one.
    (10_f64.powf(exponent) - 1e-6).ceil().clamp(1.0, 10_000.0) as u64
}

/// Returns the `linux.resources` of an OCI configuration.
pub(crate) fn oci(limits: &CgroupLimits) -> Value {
    let object = |entries: Vec<(&str, Option<Value>)>| -> Map<String, Value> {
        let entries = entries.into_iter();
        entries
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    };
    let memory = object(vec![
        ("limit", limits.memory.map(Value::from)),
        ("swap", limits.memory_swap.map(Value::from)),
    ]);
    let cpu = object(vec![
        ("shares", limits.cpu_shares.map(Value::from)),
        ("period", limits.cpu_period.map(Value::from)),
        ("quota", limits.cpu_quota.map(Value::from)),
        ("cpus", limits.cpuset_cpus.clone().map(Value::from)),
        ("mems", limits.cpuset_mems.clone().map(Value::from)),
    ]);
    let mut resources = json!({});
    for (name, part) in [("memory", memory), ("cpu", cpu)] {
        if !part.is_empty() {
            resources[name] = Value::Object(part);
        }
    }
    resources
}

/// Returns the limits without those that say nothing, such as 0.
pub(crate) fn normal(limits: &CgroupLimits) -> CgroupLimits {
    let list = |list: &Option<String>| {
        let trimmed = list.as_deref().map(str::trim);
        trimmed.filter(|list| !list.is_empty()).map(str::to_owned)
    };
    let parent = limits.parent.as_deref().map(|parent| {
        let parts: Vec<&str> = parent
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        parts.join("/")
    });
    CgroupLimits {
        parent: parent.filter(|parent| !parent.is_empty()),
        memory: limits.memory.filter(|value| *value != 0),
        memory_swap: limits.memory_swap.filter(|value| *value != 0),
        cpu_shares: limits.cpu_shares.filter(|value| *value != 0),
        cpu_period: limits.cpu_period.filter(|value| *value != 0),
        cpu_quota: limits.cpu_quota.filter(|value| *value != 0),
        cpuset_cpus: list(&limits.cpuset_cpus),
        cpuset_mems: list(&limits.cpuset_mems),
    }
}

/// Refuses what no machine can carry out.
pub(crate) fn check(limits: &CgroupLimits) -> Result<(), ExecError> {
    let refuse = |limit: &str, reason: &str| {
        Err(ExecError::Limit {
            limit: limit.into(),
            reason: reason.into(),
        })
    };
    if let Some(both) = limits.memory_swap {
        match (limits.memory, u64::try_from(both)) {
            (Some(memory), Ok(both)) if both < memory => {
                return refuse(
                    "memory-swap",
                    "it is below the limit `memory`, which it includes",
                );
            }
            (None, Ok(_)) => return refuse("memory-swap", "it needs the limit `memory` as well"),
            (_, Err(_)) if both != -1 => return refuse("memory-swap", "it is negative"),
            _ => {}
        }
    }
    if limits.cpu_quota.is_some_and(|quota| quota < -1) {
        return refuse("cpu-quota", "it is negative");
    }
    for (name, list) in [
        ("cpuset-cpus", &limits.cpuset_cpus),
        ("cpuset-mems", &limits.cpuset_mems),
    ] {
        let is_list = |list: &str| list.chars().all(|c| c.is_ascii_digit() || ",-".contains(c));
        if list.as_deref().is_some_and(|list| !is_list(list)) {
            return refuse(name, "it is not a list of numbers such as `0-2,4`");
        }
    }
    let leaves = |parent: &str| parent.split('/').any(|part| part == "..");
    if let Some(parent) = &limits.parent
        && (leaves(parent) || parent.contains(['\0', '\n']))
    {
        return refuse("cgroup-parent", "it is not the path of a control group");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> CgroupLimits {
        CgroupLimits {
            parent: None,
            memory: Some(64 << 20),
            memory_swap: Some(96 << 20),
            cpu_shares: Some(512),
            cpu_period: Some(50_000),
            cpu_quota: Some(25_000),
            cpuset_cpus: Some("0".into()),
            cpuset_mems: Some("0".into()),
        }
    }

    fn lines(limits: &CgroupLimits, version: Version) -> Vec<String> {
        let of = |controller| settings(limits, controller, version);
        let settings = Controller::ALL.into_iter().flat_map(of);
        settings
            .map(|setting| format!("{} {}={}", setting.limit, setting.file, setting.value))
            .collect()
    }

    #[test]
    fn both_versions_get_every_limit() {
        assert_eq!(
            lines(&all(), Version::One),
            [
                "memory memory.limit_in_bytes=67108864",
                "memory-swap memory.memsw.limit_in_bytes=100663296",
                "cpu-shares cpu.shares=512",
                "cpu-period cpu.cfs_period_us=50000",
                "cpu-quota cpu.cfs_quota_us=25000",
                "cpuset-cpus cpuset.cpus=0",
                "cpuset-mems cpuset.mems=0",
            ]
        );
        assert_eq!(
            lines(&all(), Version::Two),
            [
                "memory memory.max=67108864",
                "memory-swap memory.swap.max=33554432",
                "cpu-shares cpu.weight=59",
                "cpu-quota cpu.max=25000 50000",
                "cpuset-cpus cpuset.cpus=0",
                "cpuset-mems cpuset.mems=0",
            ]
        );
    }

    #[test]
    fn no_limit_is_said_in_each_version_s_own_way() {
        let mut limits = CgroupLimits {
            memory_swap: Some(-1),
            cpu_quota: Some(-1),
            ..CgroupLimits::default()
        };
        assert_eq!(
            lines(&limits, Version::Two),
            [
                "memory-swap memory.swap.max=max",
                "cpu-quota cpu.max=max 100000"
            ]
        );
        assert_eq!(
            lines(&limits, Version::One),
            [
                "memory-swap memory.memsw.limit_in_bytes=-1",
                "cpu-quota cpu.cfs_quota_us=-1"
            ]
        );
        limits = CgroupLimits {
            cpu_period: Some(20_000),
            ..CgroupLimits::default()
        };
        assert_eq!(
            lines(&limits, Version::Two),
            ["cpu-period cpu.max=max 20000"]
        );
    }

    #[test]
    fn shares_keep_their_ends_and_their_middle() {
        for (shares, expected) in [
            (0, 1),
            (2, 1),
            (1024, 100),
            (2048, 174),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn only_the_controllers_of_the_limits_are_needed() {
        assert_eq!(Controller::needed(&CgroupLimits::default()), []);
        let limits = CgroupLimits {
            cpu_quota: Some(5),
            cpuset_mems: Some("0".into()),
            ..CgroupLimits::default()
        };
        assert_eq!(
            Controller::needed(&limits),
            [
                (Controller::Cpu, "cpu-quota"),
                (Controller::Cpuset, "cpuset-mems")
            ]
        );
    }

    #[test]
    fn zero_and_empty_are_no_limits() {
        let nothing = CgroupLimits {
            parent: Some("/".into()),
            memory: Some(0),
            memory_swap: Some(0),
            cpu_shares: Some(0),
            cpu_period: Some(0),
            cpu_quota: Some(0),
            cpuset_cpus: Some(" ".into()),
            cpuset_mems: Some(String::new()),
        };
        assert_eq!(normal(&nothing), CgroupLimits::default());
        assert!(nothing.is_none());
        let parent = CgroupLimits {
            parent: Some("/a//b/./c/".into()),
            ..CgroupLimits::default()
        };
        assert_eq!(normal(&parent).parent.as_deref(), Some("a/b/c"));
    }

    #[test]
    fn impossible_limits_are_refused_by_name() {
        type Change = fn(&mut CgroupLimits);
        let cases: [(&str, Change); 7] = [
            ("`memory-swap` cannot be set: it is below", |l| {
                l.memory_swap = Some(1);
            }),
            ("`memory-swap` cannot be set: it needs", |l| l.memory = None),
            ("`memory-swap` cannot be set: it is negative", |l| {
                l.memory_swap = Some(-2);
            }),
            ("`cpu-quota` cannot be set: it is negative", |l| {
                l.cpu_quota = Some(-2);
            }),
            ("`cpuset-cpus` cannot be set: it is not a list", |l| {
                l.cpuset_cpus = Some("all".into());
            }),
            ("`cpuset-mems` cannot be set: it is not a list", |l| {
                l.cpuset_mems = Some("0\n1".into());
            }),
            ("`cgroup-parent` cannot be set: it is not the path", |l| {
                l.parent = Some("a/../../b".into());
            }),
        ];
        assert!(check(&all()).is_ok());
        for (expected, change) in cases {
            let mut limits = all();
            change(&mut limits);
            let error = check(&limits).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn a_runtime_gets_what_was_asked_for() {
        assert_eq!(oci(&CgroupLimits::default()), json!({}));
        assert_eq!(
            oci(&all()),
            json!({
                "memory": { "limit": 67_108_864, "swap": 100_663_296 },
                "cpu": { "shares": 512, "period": 50_000, "quota": 25_000, "cpus": "0", "mems": "0" },
            })
        );
    }
}
