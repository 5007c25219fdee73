//! The build graph: steps, what they need, their keys, and what has to run.
//!
//! **Main types.** [`Op`], [`Vertex`], [`Edge`], [`GraphBuilder`], [`BuildGraph`],
//! [`DefinitionKey`], [`ContentKey`].
//!
//! **Invariants.** Pure: no I/O, no async, no clock. Equal steps are one vertex. A key never
//! depends on names, positions or the order of a map; what enters which key stands in [`key`].
//! petgraph stays private.
//!
//! **Not here.** Dockerfiles (`acetate-frontend`), running and waiting (`acetate-scheduler`),
//! what a key's result is (`acetate-cache`).
#![warn(missing_docs)]

mod build_graph;
pub mod canonical;
mod env;
pub mod key;
mod op;
mod prune;
mod shape;
mod text;
mod vertex;

pub use build_graph::{BuildGraph, GraphBuilder};
pub use env::Env;
pub use key::{
    ContentKey, ContentKeyError, DefinitionKey, InputContent, InputUse, OpKey, UsePlace, UseRole,
    content_key, definition_key, key_all, op_key, op_key_all, uses,
};
pub use op::{
    Archives, CacheMount, CopyAction, CopyOwner, CopySource, Device, DownloadSource, ExecOp,
    FileAction, FileOp, GitSource, MkdirAction, MkfileAction, Mount, MountAccess, MountSource,
    NetworkMode, Op, SecretEnv, SecretMount, SecurityMode, SourceOp,
};
pub use prune::{Decision, Demand, Known, prune};
pub use shape::{Shape, VertexKind};
pub use text::dump;
pub use vertex::{
    CacheDirectory, CacheSharing, Edge, Instruction, Origin, Resources, SourceLocation, Vertex,
    VertexId, VertexMeta,
};
