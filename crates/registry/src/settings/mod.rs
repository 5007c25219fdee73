//! How single registries are to be treated: the file `registries.toml`, and docker's `certs.d`.

mod certificates;
mod mirror;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use acetate_net::{HostTrust, Verify, is_loopback};
use serde::Deserialize;

pub use self::mirror::Mirror;
use crate::endpoint::DOCKER_DOMAIN;

/// Largest file of settings, credentials or certificates that is read, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// A file of settings, credentials or certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It is there and cannot be read.
    #[error("read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is not of the form that it should have.
    #[error("read `{}`: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What `registries.toml` says of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostSettings {
    /// Who is asked before it, in this order, when something is read.
    pub mirrors: Vec<Mirror>,
    /// Whether its certificate is not looked at.
    pub insecure: bool,
    /// Whether plain HTTP is spoken; unset means to this machine alone.
    pub http: Option<bool>,
    /// Authorities that may have signed its certificate, as PEM.
    pub ca: Option<PathBuf>,
    /// Our certificate, as PEM.
    pub cert: Option<PathBuf>,
    /// The key of our certificate, as PEM.
    pub key: Option<PathBuf>,
}

/// How single registries are to be treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// By the name that users write, `HOST` or `HOST:PORT`; Docker Hub is `docker.io`.
    #[serde(default, rename = "registry")]
    pub registries: BTreeMap<String, HostSettings>,
}

impl Settings {
    /// Reads some files; what an earlier one says of a registry replaces what later ones say.
    ///
    /// # Errors
    /// A file that is there and cannot be used.
    pub fn read(paths: &[PathBuf]) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for path in paths {
            let Some(bytes) = read_file(path)? else {
                continue;
            };
            let found = Self::parse(&bytes).map_err(|reason| SettingsError::Form {
                path: path.clone(),
                reason,
            })?;
            for (host, of_host) in found.registries {
                settings.registries.entry(host).or_insert(of_host);
            }
        }
        Ok(settings)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())?;
        let settings: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for (host, of_host) in &settings.registries {
            if of_host.cert.is_some() != of_host.key.is_some() {
                return Err(format!("`cert` and `key` of `{host}` need each other"));
            }
            if host.contains('/') || host.is_empty() {
                return Err(format!("`{host}` is no HOST or HOST:PORT"));
            }
        }
        Ok(settings)
    }

    /// What is said of a registry.
    pub(crate) fn of(&self, host: &str) -> Option<&HostSettings> {
        // The file speaks of the registry as users do, not of the host that serves it.
        let name = match host {
            "registry-1.docker.io" | "index.docker.io" => DOCKER_DOMAIN,
            other => other,
        };
        self.registries.get(name)
    }
}

/// How a host is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Set when it differs from what holds for all hosts.
    pub(crate) trust: Option<HostTrust>,
}

impl Manner {
    /// Reads what the settings and the directories of certificates say of a host.
    pub(crate) fn read(
        settings: &Settings,
        directories: &[PathBuf],
        host: &str,
    ) -> Result<Self, SettingsError> {
        let mut trust = HostTrust {
            host: host.to_owned(),
            ..HostTrust::default()
        };
        let mut said_http = None;
        if let Some(of_host) = settings.of(host) {
            said_http = of_host.http;
            if of_host.insecure {
                trust.verify = Verify::Never;
            }
            certificates::named(of_host, &mut trust)?;
        }
        certificates::found(directories, host, &mut trust)?;
        let speaks_tls = trust.identity.is_some()
            || !trust.authorities.is_empty()
            || trust.verify == Verify::Never;
        // Nothing leaves a machine that speaks to itself; TLS there is asked for by settings.
        let is_plain = said_http.unwrap_or(!speaks_tls && is_loopback(name_of(host)));
        trust.is_plain_allowed = is_plain;
        Ok(Self {
            scheme: if is_plain { "http" } else { "https" },
            trust: (speaks_tls || is_plain).then_some(trust),
        })
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Reads a file that need not be there.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, FILE_LIMIT + 1), &mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(SettingsError::Form {
            path: path.to_owned(),
            reason: format!("it has more than {FILE_LIMIT} bytes"),
        });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
