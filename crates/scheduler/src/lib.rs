//! Runs a graph: what is needed is loaded, asked for or run, as much at the same time as allowed.
//!
//! **Main types.** [`State`] takes an [`Event`] and gives [`Command`]s: all decisions are made
//! there, without I/O, time or threads. [`scope`] drives it with a [`Runner`] for as long as a
//! body (the exporters) needs the build; the body talks to it through a [`Session`]. [`run`] is
//! the short form for a build that only wants results.
//!
//! **Invariants.** No step starts before all its inputs have results. A step that waits for
//! somebody else has no slot. A result that was handed to a dependent or an exporter is fixed for
//! the build. After a failure nothing new starts, what is running is cancelled, and everything is
//! waited for. The same events in the same order give the same commands. Nothing recurses and
//! nothing is quadratic.
//!
//! **Not here.** What a step does, what a result is, what a cache says: all that is behind
//! [`Runner`]. Which vertices are needed is decided by `acetate_graph::Demand`.
#![warn(missing_docs)]

mod driver;
mod event;
mod failure;
mod options;
mod runner;
mod session;
mod state;

pub use driver::{Job, run, scope};
pub use event::{Command, Event};
pub use failure::Failure;
pub use options::{Class, Hits, Limits, Profile};
pub use runner::{JobCtx, Question, RunError, Runner};
pub use session::{Session, Stopped};
pub use state::State;
pub use tokio_util::sync::CancellationToken;
