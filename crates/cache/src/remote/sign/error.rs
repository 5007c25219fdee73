//! Why a text holds no keys.

use std::io;
use std::path::PathBuf;

/// A file or a text that no key can be taken from.
///
/// No message holds any of the text: it may be a private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("read the key file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is in the file is not what is wanted.
    #[error("the key file `{}`{}: {fault}", path.display(), at(*line))]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 where it is about the whole.
        line: usize,
        /// What is wrong.
        fault: KeyFault,
    },
    /// A text that came otherwise is not what is wanted.
    #[error("the key{}: {fault}", at(*line))]
    Text {
        /// The line, from 1; 0 where it is about the whole.
        line: usize,
        /// What is wrong.
        fault: KeyFault,
    },
    /// No key can be made.
    #[error("make a key: the machine gives no random numbers")]
    Random,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is none.
    #[error("holds no key")]
    Empty,
    /// It is longer than any that is meant.
    #[error("is too long to be one of keys")]
    TooLong,
    /// It is neither base64 nor PEM.
    #[error("is neither PEM nor base64 of 32 bytes")]
    Form,
    /// A block of PEM has no end.
    #[error("`-----BEGIN {0}-----` has no end")]
    Unfinished(&'static str),
    /// A block of PEM of another kind.
    #[error("is {0}")]
    Kind(&'static str),
    /// It is a key of another algorithm, or damaged.
    #[error("is no Ed25519 key, or is damaged")]
    Algorithm,
    /// A name that cannot be shown, or more than one.
    #[error("what follows the key is neither one name nor dates")]
    Remark,
    /// Dates that are none.
    #[error("the validity is no pair of dates")]
    Dates,
    /// The last day is before the first.
    #[error("the validity ends before it begins")]
    Backwards,
    /// The same key again.
    #[error("is the same key as line {0}")]
    SameKey(usize),
    /// The same name again.
    #[error("has the same name as line {0}")]
    SameName(usize),
    /// More keys than anybody keeps apart.
    #[error("holds too many keys")]
    TooMany,
}

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "give the path of a readable file",
            Self::File { fault, .. } | Self::Text { fault, .. } => fault.hint(),
            Self::Random => "try again on a machine whose getrandom(2) works",
        }
    }
}

impl KeyFault {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "make a key with `acetate cache keygen`",
            Self::TooLong | Self::TooMany => "keep one key a line, and only those that are in use",
            Self::Form => {
                "a private key is PEM (PKCS#8) or base64 of its 32 bytes, \
                 a public key is base64 or PEM (`BEGIN PUBLIC KEY`)"
            }
            Self::Unfinished(_) => "copy the block with its last line",
            Self::Kind(_) => {
                "a signing key is unencrypted PKCS#8 (`BEGIN PRIVATE KEY`), \
                 a trusted key is its public half (`BEGIN PUBLIC KEY`)"
            }
            Self::Algorithm => "only Ed25519 is used: make a key with `acetate cache keygen`",
            Self::Remark | Self::Dates | Self::Backwards => {
                "write `KEY NAME 2026-01-01..2026-12-31`; name and either date may be left out"
            }
            Self::SameKey(_) => "remove one of the two lines",
            Self::SameName(_) => "give each key its own name",
        }
    }
}

fn at(line: usize) -> String {
    match line {
        0 => String::new(),
        line => format!(", line {line}"),
    }
}
