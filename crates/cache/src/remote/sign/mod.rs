//! Signed records: who made a result, told so that no server can lie about it.
//!
//! **Main types.** [`SigningKey`], the private key of whoever executes steps; [`TrustedKeys`], the
//! list of public keys whose results are taken; [`Trust`], that list with a [`Policy`]; [`Signer`],
//! what a good signature says, and [`Distrust`], why there is none; [`generate`].
//!
//! **Invariants.** A signature covers every byte of a record that is read, with the key that it
//! answers, the namespace, the builder and the time. A private key is in no message and no `Debug`
//! text. Nothing that comes from a server or a file can panic here.
//!
//! **Not here.** What is in a record (`codec`), and what becomes of one that is not trusted.

mod dsse;
mod envelope;
mod error;
mod pem;
mod policy;
mod private;
mod public;
mod trusted;

pub use error::{KeyError, KeyFault};
pub use policy::{Distrust, Policy, Signer, Trust};
pub use private::{KeyWarning, NewKey, SigningKey, generate};
pub use public::PublicKey;
pub use trusted::{TrustedKey, TrustedKeys, Validity};

pub(super) use dsse::{Envelope, PAYLOAD_TYPE};
pub(super) use envelope::{Sealed, Statement, seal, unseal};
pub(super) use policy::Found;

#[cfg(test)]
mod tests;
