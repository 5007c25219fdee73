//! Who may do what.
//!
//! [`Gate`] finds out who sent a request: by a token of a file, by a token that a CI system signed
//! ([`Issuer`]), or by a client certificate. What it finds is a [`Caller`], which answers all further
//! questions without waiting.

mod caller;
mod certificate;
mod file;
mod gate;
mod oidc;
mod pattern;
mod policy;
mod rule;
mod scope;
mod template;
mod token;

pub use caller::{Caller, Grant, Verdict};
pub use file::{Stamp, TokenFile, TokenFileError};
pub use gate::{Gate, Trust};
pub use oidc::{Issuer, IssuerError};
pub use policy::Policy;
pub use rule::{Rule, RuleError};
pub use scope::{Access, Scope, ScopeError};
pub use token::{Token, TokenError, TokenHash};

pub(crate) use certificate::NAMES as CERTIFICATE_NAMES;
