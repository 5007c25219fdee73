//! The built-in scanner: which packages a tree holds, written as SPDX 2.3.
//!
//! [`scan`] looks at a [`Tree`] and finds [`Package`]s; [`document`] writes them. Both are pure: the
//! same tree and the same time give the same bytes.

mod document;
mod find;
mod license;
mod package;
mod tree;

pub use document::{DocumentInfo, document, statement};
pub use find::{Found, Limits, scan};
pub use license::{License, parse_license};
pub use package::{Ecosystem, HashAlgorithm, Package};
pub use tree::{MemoryTree, Tree, TreeFile};

/// The type of a predicate that is an SPDX document.
pub const PREDICATE_SPDX: &str = "https://spdx.dev/Document";
