//! Path patterns: what COPY, `--parents`, `--exclude` and ignore files mean by `*`, `**`, `?` and `[a-z]`.
//!
//! **What.** Three grammars that look alike and are not: Go's `filepath.Match` ([`GoPattern`]), the same with `**`
//! ([`ParentsPattern`]), and ignore files with negation and order ([`IgnoreMatcher`]).
//!
//! **Main types.** The three above; [`has_meta`] and [`clean`] for those who prepare paths.
//!
//! **Invariants.** No I/O. Matching takes time proportional to the pattern times the path, whatever the pattern is.
//! Paths are bytes, relative, separated by `/`, without a leading or trailing slash; what is not UTF-8 is
//! matched byte by byte.
//!
//! **Not here.** Walking directories, following links, sorting results.

mod class;
mod clean;
mod error;
mod glob;
mod go;
mod ignore;
mod parents;
mod text;

pub use clean::clean;
pub use error::{IgnoreError, PatternError};
pub use go::{GoPattern, has_meta};
pub use ignore::IgnoreMatcher;
pub use parents::ParentsPattern;
