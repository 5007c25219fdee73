//! The `config.json` of an OCI bundle whose root is mounted already.

use serde_json::{Value, json};

use super::mask::{MASKED, READ_ONLY};
use crate::cgroup;
use crate::request::{Security, Ulimit};
use crate::seccomp;
use crate::spec::StepSpec;

/// Every capability by number.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Returns the configuration of a step whose finished root lies at `root`.
///
/// The mount, IPC, host name and network namespaces are those that the runtime starts in. It mounts
/// nothing but `/proc`; `/dev` is bound onto itself, which tells every runtime to leave it alone.
///
/// `available` are the capabilities that this process has to give.
pub(super) fn bundle_config(spec: &StepSpec, root: &str, available: u64) -> Value {
    let sandboxed = spec.security == Security::Sandbox;
    let keep = available & seccomp::capabilities(spec.security, spec.network);
    let capabilities: Vec<&str> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| keep & (1 << number) != 0)
        .map(|(_, name)| *name)
        .collect();
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {
                "uid": spec.user.uid,
                "gid": spec.user.gid,
                "additionalGids": spec.user.groups,
                "umask": 0o022,
            },
            "args": spec.argv,
            "env": spec.whole_environment(),
            "cwd": spec.cwd,
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "rlimits": spec.ulimits.iter().map(limit).collect::<Vec<_>>(),
            "noNewPrivileges": false,
        },
        "root": { "path": root, "readonly": false },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc",
              "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "bind", "source": format!("{root}/dev"),
              "options": ["rbind"] },
        ],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "mount" }],
            "cgroupsPath": cgroups_path(spec),
            "resources": cgroup::oci(&spec.limits),
            "maskedPaths": if sandboxed { json!(MASKED) } else { json!([]) },
            "readonlyPaths": if sandboxed { json!(READ_ONLY) } else { json!([]) },
        },
    });
    if let Some(filter) = seccomp::oci(spec.abi, spec.stdio).filter(|_| sandboxed) {
        config["linux"]["seccomp"] = filter;
    }
    if !sandboxed {
        for set in ["inheritable", "ambient"] {
            config["process"]["capabilities"][set] = json!(capabilities);
        }
        // Without a rule a runtime refuses all devices but the usual ones.
        config["linux"]["resources"]["devices"] = json!([{ "allow": true, "access": "rwm" }]);
    }
    config
}

fn cgroups_path(spec: &StepSpec) -> String {
    match &spec.limits.parent {
        Some(parent) => format!("/{parent}/{}", spec.id),
        None => format!("/{}", spec.id),
    }
}

fn limit(limit: &Ulimit) -> Value {
    let value = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    json!({
        "type": format!("RLIMIT_{}", limit.resource.name().to_uppercase()),
        "soft": value(limit.soft),
        "hard": value(limit.hard),
    })
}

#[cfg(test)]
mod tests {
    use acetate_snapshot::RootMount;

    use super::*;
    use crate::request::{CgroupLimits, ExecRequest, Resource};

    #[test]
    fn the_configuration_holds_the_request() {
        let mut request = ExecRequest::new(RootMount::Dir("/r".into()), ["make", "all"]);
        request.user.groups = vec![7];
        request.env = vec!["A=1".into(), "PATH=/b".into(), "KEY=old".into()];
        request.secret_env = vec![("KEY".into(), "hidden".to_owned().into())];
        request.limits = CgroupLimits {
            parent: Some("/builds/".into()),
            memory: Some(1 << 20),
            ..CgroupLimits::default()
        };
        let resource = Resource::Nofile;
        request.ulimits = vec![Ulimit {
            resource,
            soft: Some(5),
            hard: None,
        }];
        let spec = StepSpec::new(&request, None).unwrap();
        let config = bundle_config(&spec, "/bundle/root", u64::MAX);
        assert_eq!(config["process"]["args"], json!(["make", "all"]));
        assert_eq!(
            config["process"]["env"],
            json!(["A=1", "PATH=/b", "KEY=hidden"])
        );
        assert_eq!(
            config["linux"]["resources"],
            json!({ "memory": { "limit": 1 << 20 } })
        );
        let path = config["linux"]["cgroupsPath"].as_str().unwrap();
        assert!(path.starts_with("/builds/acetate-"), "{path}");
        assert!(!format!("{spec:?}").contains("hidden"));
        assert_eq!(config["process"]["user"]["additionalGids"], json!([7]));
        assert_eq!(
            config["process"]["rlimits"],
            json!([{ "type": "RLIMIT_NOFILE", "soft": 5, "hard": u64::MAX }])
        );
        let bounding = config["process"]["capabilities"]["bounding"]
            .as_array()
            .unwrap();
        assert_eq!(bounding.len(), 13, "{bounding:?}");
        assert!(!bounding.contains(&json!("CAP_NET_RAW")));
        assert_eq!(config["mounts"][1]["source"], "/bundle/root/dev");
        assert!(config["linux"]["seccomp"].is_object());
    }

    #[test]
    fn an_insecure_step_has_everything() {
        let mut request = ExecRequest::new(RootMount::Dir("/r".into()), ["x"]);
        request.security = Security::Insecure;
        let spec = StepSpec::new(&request, None).unwrap();
        let config = bundle_config(&spec, "/b", !(1 << 24));
        let bounding = config["process"]["capabilities"]["bounding"]
            .as_array()
            .unwrap();
        assert_eq!(bounding.len(), 40);
        assert_eq!(
            config["process"]["capabilities"]["ambient"],
            json!(bounding)
        );
        assert_eq!(
            config["linux"]["resources"]["devices"],
            json!([{ "allow": true, "access": "rwm" }])
        );
        assert_eq!(config["linux"]["maskedPaths"], json!([]));
        assert!(config["linux"]["seccomp"].is_null());
    }
}
