//! The same Dockerfile through BuildKit and through `acetate`, and what came out side by side.
//!
//! A corpus of cases lies in `tests/differential/`, one file a case, with BuildKit's outcome beside
//! it: `NAME.case` and `NAME.golden`. Where acetate means to differ, the case names the reason, a
//! heading of `docs/compatibility.md`, and `NAME.acetate` holds what it gives instead. So
//! acetate is compared everywhere, and BuildKit is needed only to see that the goldens are true.

mod address;
mod bases;
mod buildkit;
mod case;
mod ground;
mod image;
mod outcome;
mod report;
mod run;
mod serve;
mod tree;
mod verdict;

pub use buildkit::BuildKit;
pub use case::{Case, Fixture, corpus, folder};
pub use outcome::Outcome;
pub use report::{findings, table};
pub use run::{Against, bless, run};
pub use verdict::{Verdict, compare};
