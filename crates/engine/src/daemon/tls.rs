//! The certificates by which an engine and its users know each other.

use crate::BuildError;
use acetate_net::{ClientIdentity, SocketTls, Verify};
use std::io;
use std::path::{Path, PathBuf};

/// How TLS is spoken to an engine.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// Where the certificates are.
    pub(super) dir: PathBuf,
    pub(super) settings: SocketTls,
}

impl Tls {
    /// Reads `ca.pem`, `cert.pem` and `key.pem` of a directory, as many as there are.
    pub(super) fn read(dir: &Path, verify: Verify) -> Result<Self, BuildError> {
        let file = |name: &str| optional(&dir.join(name));
        let identity = match (file("cert.pem")?, file("key.pem")?) {
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate,
                key: key.into(),
            }),
            (None, None) => None,
            (certificate, _) => {
                let (has, lacks) = match certificate {
                    Some(_) => ("cert.pem", "key.pem"),
                    None => ("key.pem", "cert.pem"),
                };
                let dir = dir.display();
                return Err(BuildError::request_with(
                    format!("there is `{dir}/{has}` and no `{lacks}` beside it"),
                    "an engine that asks who comes wants both; one that does not, neither",
                ));
            }
        };
        Ok(Self {
            dir: dir.to_owned(),
            settings: SocketTls {
                verify,
                authorities: file("ca.pem")?.into_iter().collect(),
                identity,
            },
        })
    }

    /// True when the directory has none of the files.
    pub(super) fn is_empty(&self) -> bool {
        self.settings.authorities.is_empty() && self.settings.identity.is_none()
    }
}

/// Reads a file that may be missing.
pub(super) fn optional(path: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(BuildError::input("read", path)(error)),
        },
    }
}
