//! The Dockerfile frontend: from source text to a build graph, without any I/O.
//!
//! **What.** [`parse`] reads text into a syntax tree and diagnostics; [`expand`] substitutes variables;
//! [`plan()`] resolves names until nothing is missing in [`Pins`]; [`lower()`] makes the graph.
//! [`checks`] are what is warned of on the way, and [`call`] answers questions without a build.
//!
//! **Main types.** [`SourceFile`], [`ast::Dockerfile`], [`Diagnostic`], [`Span`], [`PlanRequest`], [`Pins`], [`Plan`],
//! [`Lowered`].
//!
//! **Invariants.** Nothing here reads a file, the environment or a clock. Parsing never fails and never panics:
//! what is wrong becomes a [`Diagnostic`]. Every value of the tree keeps the bytes that it came from, and time
//! is linear in the length of the text.
//!
//! **Not here.** Resolving images, walking contexts, running anything, printing.

pub mod ast;
pub mod call;
pub mod checks;
pub mod diagnostic;
pub mod expand;
pub mod lower;
mod mount;
mod parser;
mod pins;
pub mod plan;
pub mod remote;
pub mod render;
mod request;
mod source;
mod span;
pub mod suggest;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use lower::{HistoryItem, ImageResult, Lowered, StageResult, lower};
pub use mount::MountError;
pub use parser::{Parsed, detect_syntax, parse, parse_for, parse_instruction};
pub use pins::{
    Flavour, GitNeed, ImageNeed, ImageSource, Need, PinnedImage, PinnedRemote, Pins, RemoteNeed,
    SelectionSpec,
};
pub use plan::{Plan, Planned, draft, plan};
pub use remote::{GitUrl, RemoteError, RemoteUrl};
pub use request::{Entitlement, MainContext, NamedContext, PlanRequest};
pub use source::SourceFile;
pub use span::{LineRange, Span, Spanned};
pub use suggest::did_you_mean;
