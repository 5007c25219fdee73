//! Reads certificates: those that the settings name, and docker's `certs.d/HOST:PORT`.

use std::io;
use std::path::{Path, PathBuf};

use acetate_net::{ClientIdentity, HostTrust};
use acetate_stdx::Redacted;

use super::{HostSettings, SettingsError, read_file};

/// Adds the files that the settings name; they have to be there.
pub(super) fn named(of_host: &HostSettings, trust: &mut HostTrust) -> Result<(), SettingsError> {
    if let Some(path) = &of_host.ca {
        trust.authorities.push(needed(path)?);
    }
    if let (Some(cert), Some(key)) = (&of_host.cert, &of_host.key) {
        trust.identity = Some(ClientIdentity {
            certificate: needed(cert)?,
            key: Redacted::new(needed(key)?),
        });
    }
    Ok(())
}

/// Adds what lies in the directories of a host: every `.crt` is an authority, and the first `.cert`
/// with its `.key` is who we are. The settings' own certificate goes before those.
pub(super) fn found(
    directories: &[PathBuf],
    host: &str,
    trust: &mut HostTrust,
) -> Result<(), SettingsError> {
    if host.contains('/') || host.starts_with('.') {
        return Ok(());
    }
    for directory in directories {
        let directory = directory.join(host);
        for name in sorted(&directory)? {
            let path = directory.join(&name);
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                Some("crt") => trust.authorities.push(needed(&path)?),
                Some("cert") if trust.identity.is_none() => {
                    let key = path.with_extension("key");
                    trust.identity = Some(ClientIdentity {
                        certificate: needed(&path)?,
                        key: Redacted::new(needed(&key)?),
                    });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn sorted(directory: &Path) -> Result<Vec<String>, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn needed(path: &Path) -> Result<Vec<u8>, SettingsError> {
    read_file(path)?.ok_or_else(|| SettingsError::Read {
        path: path.to_owned(),
        source: io::Error::from(io::ErrorKind::NotFound),
    })
}
