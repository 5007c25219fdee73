//! [`ExecRequest`]: one step to run.

use std::net::IpAddr;
use std::path::PathBuf;

use acetate_snapshot::RootMount;
use acetate_stdx::Redacted;
use serde::{Deserialize, Serialize};

/// The host name of a step that asks for none.
pub const DEFAULT_HOSTNAME: &str = "buildkitsandbox";
/// The search path of a step whose environment has no `PATH`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The size of `/dev/shm` in bytes where the request names none.
pub const DEFAULT_SHM_SIZE: u64 = 64 << 20;

/// The numeric identity of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, as the step shall see them.
    pub groups: Vec<u32>,
}

/// Which network a step sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's own. `CAP_NET_RAW` is dropped and, where the kernel can, abstract sockets of processes
    /// outside of the step are out of reach.
    #[default]
    Host,
    /// A new one with nothing but a loopback device.
    None,
}

/// How much a step may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// The usual capabilities, system calls, masked and read-only paths.
    #[default]
    Sandbox,
    /// All capabilities, all system calls, nothing masked.
    Insecure,
}

/// Where the step's standard streams lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// Input is `/dev/null`; output and errors go to the [`LogSink`](crate::LogSink); no terminal.
    #[default]
    Capture,
    /// All three are those of this process, and its session stays.
    Inherit,
}

/// Where [`ExecRequest::scripts`] are.
pub const SCRIPTS: &str = "/dev/pipes";

/// A small executable file that only the step sees, such as a heredoc with its own interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its name, without any slash.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// Which machine ABI the image is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Abi {
    /// The machine's own. 32-bit programs run, but not the i386 call `socketcall`, since the
    /// address family behind it cannot be filtered.
    #[default]
    Native,
    /// An image of 32-bit programs: `socketcall` is allowed, as old i386 C libraries have no other
    /// way to a socket. A program can then reach vsock addresses through it.
    Compat32,
}

/// A resource that can be limited; the names are those of `--ulimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each is the kernel's RLIMIT_ constant of that name"
)]
pub enum Resource {
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl Resource {
    /// Every resource with its `--ulimit` name.
    pub const ALL: [(&'static str, Self); 15] = [
        ("core", Self::Core),
        ("cpu", Self::Cpu),
        ("data", Self::Data),
        ("fsize", Self::Fsize),
        ("locks", Self::Locks),
        ("memlock", Self::Memlock),
        ("msgqueue", Self::Msgqueue),
        ("nice", Self::Nice),
        ("nofile", Self::Nofile),
        ("nproc", Self::Nproc),
        ("rss", Self::Rss),
        ("rtprio", Self::Rtprio),
        ("rttime", Self::Rttime),
        ("sigpending", Self::Sigpending),
        ("stack", Self::Stack),
    ];

    /// Returns the resource of a `--ulimit` name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, resource)| *resource)
    }

    /// Returns the `--ulimit` name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    pub(crate) fn kernel(self) -> rustix::process::Resource {
        use rustix::process::Resource as Kernel;
        match self {
            Self::Core => Kernel::Core,
            Self::Cpu => Kernel::Cpu,
            Self::Data => Kernel::Data,
            Self::Fsize => Kernel::Fsize,
            Self::Locks => Kernel::Locks,
            Self::Memlock => Kernel::Memlock,
            Self::Msgqueue => Kernel::Msgqueue,
            Self::Nice => Kernel::Nice,
            Self::Nofile => Kernel::Nofile,
            Self::Nproc => Kernel::Nproc,
            Self::Rss => Kernel::Rss,
            Self::Rtprio => Kernel::Rtprio,
            Self::Rttime => Kernel::Rttime,
            Self::Sigpending => Kernel::Sigpending,
            Self::Stack => Kernel::Stack,
        }
    }
}

/// A limit's value; `None` is unlimited.
pub type Limit = Option<u64>;

/// One resource limit of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit that holds now.
    pub soft: Limit,
    /// The limit up to which the step may raise the soft one.
    pub hard: Limit,
}

/// Something mounted over the step's root.
///
/// A mount is attached before those below it, whatever their order in the list; of two at one place
/// the later covers the earlier. Missing mount points, with missing directories above them, are made and
/// taken away again without a trace in the layer (S65), or below another mount in what is mounted there; a
/// directory that the step wrote into stays. Nothing can be mounted in `/proc`, or as `/`, `/dev` or
/// `/sys`. Every mount is `nodev`; files and sockets also `nosuid` and `noexec`, memory `nosuid`.
#[derive(Clone, Debug)]
pub struct StepMount {
    /// Where, absolute, resolved inside the root.
    pub target: String,
    /// What.
    pub source: MountKind,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// What a [`StepMount`] shows. None of it reaches the step's layer.
#[derive(Clone, Debug)]
pub enum MountKind {
    /// The files of another snapshot.
    Snapshot {
        /// How they are mounted; what is written goes where the mount says and is the caller's to
        /// throw away. Mounts of one step with equal roots show one file system, writes included.
        root: RootMount,
        /// The file or directory in it, relative to its root, empty for all of it; links are
        /// followed inside it.
        path: String,
    },
    /// A directory of the host, which what is written stays in: a cache mount.
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The file or directory in it, empty for all of it; a link that leads out of it, or is
        /// absolute, is an error (S71).
        path: String,
    },
    /// Memory, with the mode of the directory that it covers, or else 1777.
    Tmpfs {
        /// Its size in bytes; none is the kernel's own limit.
        size: Option<u64>,
    },
    /// A small file in memory: a secret. Its bytes never reach a disk, an argument or a log.
    File {
        /// What stands in it.
        bytes: Redacted<Vec<u8>>,
        /// Its permission bits.
        mode: u32,
        /// Its owner, as the step sees it.
        uid: u32,
        /// Its group, as the step sees it.
        gid: u32,
    },
    /// A Unix socket of the host: an SSH agent.
    Socket {
        /// The socket, which the caller made for this step: its mode and owner are changed.
        path: PathBuf,
        /// Its permission bits for the step.
        mode: u32,
        /// Its owner, as the step sees it.
        uid: u32,
        /// Its group, as the step sees it.
        gid: u32,
    },
}

/// What a step may use up; none, or 0, is no limit.
///
/// A step with a limit or a parent has a control group of its own while it runs, of version 1 or 2 as
/// the machine has them. That needs groups that this process may write; without them the step fails and
/// says what to do. An OCI runtime makes the group itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// The group that the step's own is made in, relative to the top of the hierarchy; it is made
    /// where it is missing, and stays. None is the top.
    pub parent: Option<String>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory and swap together in bytes, at least `memory`, which it needs; -1 is no limit.
    pub memory_swap: Option<i64>,
    /// The relative share of processors, 2 to 262144; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// The period of the processor quota in microseconds.
    pub cpu_period: Option<u64>,
    /// The processor time allowed in each period in microseconds; -1 is no limit.
    pub cpu_quota: Option<i64>,
    /// The processors, such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes, such as `0,1`.
    pub cpuset_mems: Option<String>,
}

impl CgroupLimits {
    /// Whether a step needs no control group for them.
    pub fn is_none(&self) -> bool {
        crate::cgroup::normal(self) == Self::default()
    }
}

/// One step to run. [`ExecRequest::new`] gives the plainest one; every field may be changed.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The root file system; the executor mounts it for the step alone.
    pub root: RootMount,
    /// Program and arguments, never empty. A name without a slash is looked up in `PATH` in the root.
    pub argv: Vec<String>,
    /// The whole environment, `NAME=value`, in order. `HOME` is the caller's work; [`DEFAULT_PATH`] is
    /// added when there is no `PATH`.
    pub env: Vec<String>,
    /// The working directory, absolute. It is made (0755, root) when it is missing.
    pub cwd: String,
    /// Who the step runs as.
    pub user: UserIds,
    /// The host name in the step.
    pub hostname: String,
    /// The network it sees.
    pub network: Network,
    /// Names added to `/etc/hosts`.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// How much it may do.
    pub security: Security,
    /// Where its streams lead.
    pub stdio: Stdio,
    /// Resource limits; the others stay as they are in this process.
    pub ulimits: Vec<Ulimit>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Which ABI the image is for.
    pub abi: Abi,
    /// Executable texts shown in [`SCRIPTS`]; they are in no layer.
    pub scripts: Vec<Script>,
    /// What is mounted over the root.
    pub mounts: Vec<StepMount>,
    /// Variables that hold secrets; they follow `env`, replace entries of the same name in it, and are in
    /// no message.
    pub secret_env: Vec<(String, Redacted<String>)>,
    /// What it may use up.
    pub limits: CgroupLimits,
    /// What [`mount_points`](crate::mount_points) returned, on the file system of an overlay's layers. It
    /// saves making mount points for each step, and is never seen in what the step leaves.
    pub mount_points: Option<PathBuf>,
}

impl ExecRequest {
    /// Returns a request that runs `argv` in `root` as root, with an empty environment, in `/`, with captured
    /// output, in the sandbox and on the host's network.
    pub fn new<S: Into<String>>(root: RootMount, argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            root,
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            user: UserIds::default(),
            hostname: DEFAULT_HOSTNAME.into(),
            network: Network::default(),
            extra_hosts: Vec::new(),
            security: Security::default(),
            stdio: Stdio::default(),
            ulimits: Vec::new(),
            shm_size: DEFAULT_SHM_SIZE,
            abi: Abi::default(),
            scripts: Vec::new(),
            mounts: Vec::new(),
            secret_env: Vec::new(),
            limits: CgroupLimits::default(),
            mount_points: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_names_round_trip() {
        for (name, resource) in Resource::ALL {
            assert_eq!(Resource::from_name(name), Some(resource));
            assert_eq!(resource.name(), name);
        }
        assert_eq!(Resource::from_name("NOFILE"), None);
    }
}
