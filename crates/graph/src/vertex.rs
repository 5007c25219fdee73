use crate::Op;
use std::net::IpAddr;
use std::sync::Arc;

/// The place of a vertex in its graph; inputs have smaller numbers than what uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(pub u32);

impl VertexId {
    /// The same as an index into slices that run parallel to the vertices.
    pub fn idx(self) -> usize {
        self.0 as usize
    }
}

/// One output of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// Whose.
    pub vertex: VertexId,
    /// Which.
    pub output: u32,
}

impl Edge {
    /// The first output of `vertex`.
    pub fn first(vertex: VertexId) -> Self {
        Self { vertex, output: 0 }
    }
}

/// A step and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertex {
    /// What is done.
    pub op: Op,
    /// What it is done with, by the indices that the op uses.
    pub inputs: Vec<Edge>,
    /// All that is in no key.
    pub meta: VertexMeta,
}

/// What stands beside an op, outside of every key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VertexMeta {
    /// The name shown, such as `[build 2/5] RUN make`.
    pub name: String,
    /// Where it stands in the Dockerfile.
    pub origin: Option<Origin>,
    /// The instruction that it comes from; none for what no instruction asks for by itself.
    pub instruction: Option<Arc<Instruction>>,
    /// Always runs, whatever the caches hold.
    pub no_cache: bool,
    /// Where a source is found, an index whose meaning the frontend and the engine share.
    pub location: Option<SourceLocation>,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Environment that reaches the process and no key: proxies.
    pub proxy_env: Vec<String>,
    /// Which directory each cache mount of an Exec shows.
    pub caches: Vec<CacheDirectory>,
    /// What a process may use up.
    pub resources: Resources,
}

/// An instruction as it was written, for whoever explains what became of it. In no key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instruction {
    /// The stage that it stands in: its name, or `stage-1`.
    pub stage: String,
    /// What the stage starts from, as written.
    pub base: String,
    /// The instruction with no variable filled in, heredocs included, without users of addresses.
    pub text: String,
    /// The variables that are filled in, with their values, in the order of their first use; none
    /// for RUN, which sees them as its environment.
    pub filled: Vec<(String, String)>,
    /// Which of these, or for RUN of its environment, are ARGs rather than ENV.
    pub args: Arc<[String]>,
}

/// The directory that a cache mount shows. Neither its name nor its sharing is in a key (S81).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheDirectory {
    /// The index of the mount in its Exec.
    pub mount: u32,
    /// The name that mounts share it by.
    pub id: String,
    /// What happens when several steps want it at the same time.
    pub sharing: CacheSharing,
}

/// What happens when several steps want one cache directory (S68).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum CacheSharing {
    /// They write at the same time.
    #[default]
    Shared,
    /// The second one gets a new directory.
    Private,
    /// The second one waits.
    Locked,
}

/// Limits of what a process may use up; none is no limit. In no key (S73).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Resources {
    /// The control group that the process's own is made in.
    pub cgroup_parent: Option<String>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory and swap together in bytes; -1 is no limit.
    pub memory_swap: Option<i64>,
    /// The relative share of processors; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// The period of the processor quota in microseconds.
    pub cpu_period: Option<u64>,
    /// The processor time allowed in each period in microseconds.
    pub cpu_quota: Option<i64>,
    /// The processors, such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes, such as `0,1`.
    pub cpuset_mems: Option<String>,
}

impl Resources {
    /// True when nothing is limited and no parent is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A range of lines of a Dockerfile, both counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The name of the file as the user gave it.
    pub file: String,
    /// The first line.
    pub first_line: u32,
    /// The last line.
    pub last_line: u32,
}

/// An index into the frontend's list of images or selections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceLocation(pub u32);
