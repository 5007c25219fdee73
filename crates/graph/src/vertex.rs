use crate::Op;
use std::net::IpAddr;

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
    /// Always runs, whatever the caches hold.
    pub no_cache: bool,
    /// Where a source is found, an index whose meaning the frontend and the engine share.
    pub location: Option<SourceLocation>,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Environment that reaches the process and no key: proxies.
    pub proxy_env: Vec<String>,
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
