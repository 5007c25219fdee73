//! Finds what lets us in: in the files of docker and podman, or through their helper programs.

mod file;
mod helper;
mod key;

use acetate_stdx::Redacted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::file::{AuthFile, Source};
pub use self::helper::HelperError;
use crate::{Access, RegistryError, Repository};

/// Something that lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A name and what belongs to it.
    Password {
        /// The user.
        user: String,
        /// The password, or a token in its place.
        password: Redacted<String>,
    },
    /// What a token server gives tokens for.
    Identity(Redacted<String>),
    /// A token that the registry itself takes.
    Bearer(Redacted<String>),
}

impl Credential {
    /// The value of a header for the Basic scheme; none for credentials of another kind.
    pub(crate) fn basic(&self) -> Option<Redacted<String>> {
        match self {
            Self::Password { user, password } => {
                let text = STANDARD.encode(format!("{user}:{}", password.expose()));
                Some(Redacted::new(format!("Basic {text}")))
            }
            Self::Identity(_) | Self::Bearer(_) => None,
        }
    }
}

/// The credential for a repository, from the first file that knows one; none means anonymous.
///
/// Within a file a helper of the host goes before the helper of all, and that before what the file
/// itself holds.
pub(crate) async fn find(
    access: &Access,
    repository: &Repository,
) -> Result<Option<Credential>, RegistryError> {
    for path in &access.auth.files {
        let read_from = path.clone();
        let read = acetate_stdx::blocking(move || AuthFile::read(&read_from)).await?;
        let Some(file) = read else { continue };
        for source in file.sources(repository) {
            let found = match source {
                Source::Inline(credential) => Some(credential),
                Source::Helper { program, server } => {
                    let limit = access.helper_limit;
                    let asked = helper::ask(&access.search_path, &program, &server, limit).await;
                    asked.map_err(|source| RegistryError::Helper {
                        host: repository.domain().to_owned(),
                        source,
                    })?
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}
