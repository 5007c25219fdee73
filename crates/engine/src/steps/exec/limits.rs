//! What a process may use up, from the words of the request to the numbers of the sandbox.

use crate::steps::StepError;
use acetate_exec::{CgroupLimits, Limit, Resource, Ulimit};
use acetate_graph::Resources;

/// Reads `name=soft:hard`, or `name=both`.
pub(super) fn ulimits(texts: &[String]) -> Result<Vec<Ulimit>, StepError> {
    texts.iter().map(|text| ulimit(text)).collect()
}

fn ulimit(text: &str) -> Result<Ulimit, StepError> {
    let parsed = || {
        let (name, values) = text.split_once('=')?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        Some(Ulimit {
            resource: Resource::from_name(name)?,
            soft: limit(soft)?,
            hard: limit(hard)?,
        })
    };
    parsed().ok_or_else(|| StepError::Ulimit(text.to_owned()))
}

fn limit(text: &str) -> Option<Limit> {
    match text {
        "-1" | "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    }
}

pub(super) fn cgroup(resources: &Resources) -> CgroupLimits {
    let Resources {
        cgroup_parent,
        memory,
        memory_swap,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpuset_cpus,
        cpuset_mems,
    } = resources.clone();
    CgroupLimits {
        parent: cgroup_parent,
        memory,
        memory_swap,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpuset_cpus,
        cpuset_mems,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let read = |text: &str| {
            let limit = ulimit(text).map_err(|error| error.to_string())?;
            Ok::<_, String>((limit.resource.name(), limit.soft, limit.hard))
        };
        assert_eq!(read("nofile=10:20"), Ok(("nofile", Some(10), Some(20))));
        assert_eq!(read("core=0"), Ok(("core", Some(0), Some(0))));
        assert_eq!(read("nproc=5:-1"), Ok(("nproc", Some(5), None)));
        for junk in ["nofile", "nofile=", "files=1", "nofile=1:x", "nofile=-2"] {
            assert_eq!(
                read(junk),
                Err(format!("the limit `{junk}` cannot be read"))
            );
        }
    }
}
