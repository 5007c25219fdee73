//! Which engine is meant.

use super::contexts::{self, DEFAULT};
use super::endpoint::Endpoint;
use super::tls::Tls;
use crate::BuildError;
use acetate_net::Verify;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// The variables that say where engines listen; the values of the program's own environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonEnvironment {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`, a directory.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY` and `DOCKER_TLS`.
    pub docker_tls: DockerTls,
    /// `DOCKER_CERT_PATH`, a directory.
    pub docker_cert_path: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `PATH`, where `ssh` is looked for.
    pub search_path: String,
}

/// How the environment wants a port of `DOCKER_HOST` to be spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DockerTls {
    /// In the clear.
    #[default]
    Off,
    /// With TLS and any certificate (`DOCKER_TLS`).
    Unverified,
    /// With TLS and a certificate that is verified (`DOCKER_TLS_VERIFY`).
    Verified,
}

impl DaemonEnvironment {
    /// The engine that images are loaded into. `context` is docker's context that an output names.
    ///
    /// # Errors
    /// When there is none; the error says where one was looked for.
    pub(super) fn endpoint(&self, context: Option<&str>) -> Result<Endpoint, BuildError> {
        let endpoint = self.chosen(context)?;
        match &endpoint {
            Endpoint::Socket(path) => existing(std::slice::from_ref(path)),
            _ => Ok(endpoint),
        }
    }

    /// The engine that is asked for, whether or not it is there; of the usual ones, one that is.
    fn chosen(&self, context: Option<&str>) -> Result<Endpoint, BuildError> {
        if let Some(name) = context.filter(|name| *name != DEFAULT) {
            return self.of_context(name, &format!("context={name}"));
        }
        if let Some(host) = &self.docker_host {
            return Endpoint::named("DOCKER_HOST", host, || self.tls());
        }
        if context.is_none()
            && let Some((name, named_by)) = self.current_context()?
        {
            return self.of_context(&name, &named_by);
        }
        existing(&self.usual())
    }

    /// What to say when the environment contradicts itself: docker warns, too.
    pub(super) fn contradiction(&self) -> Option<String> {
        let name = self.docker_context.as_deref().filter(|it| *it != DEFAULT)?;
        self.docker_host.as_ref()?;
        Some(format!(
            "DOCKER_HOST goes before DOCKER_CONTEXT: the context `{name}` is not used"
        ))
    }

    /// The context that counts where nothing else is said, and what chose it.
    fn current_context(&self) -> Result<Option<(String, String)>, BuildError> {
        let found = match (&self.docker_context, self.settings()) {
            (Some(name), _) => Some((name.clone(), "DOCKER_CONTEXT".to_owned())),
            (None, Some(dir)) => contexts::current(&dir)?.map(|name| {
                let path = dir.join("config.json");
                (name, format!("`{}`", path.display()))
            }),
            (None, None) => None,
        };
        Ok(found.filter(|(name, _)| name != DEFAULT))
    }

    fn of_context(&self, name: &str, named_by: &str) -> Result<Endpoint, BuildError> {
        let Some(dir) = self.settings() else {
            return Err(BuildError::request_with(
                format!(
                    "{named_by} names docker's context `{name}`, and nothing says where contexts are"
                ),
                "set HOME or DOCKER_CONFIG, or DOCKER_HOST instead",
            ));
        };
        contexts::endpoint(&dir, name, named_by)
    }

    /// The directory of docker's settings.
    fn settings(&self) -> Option<PathBuf> {
        let by_home = || self.home.as_ref().map(|home| home.join(".docker"));
        self.docker_config.clone().or_else(by_home)
    }

    /// How a port of `DOCKER_HOST` is spoken to.
    fn tls(&self) -> Result<Option<Tls>, BuildError> {
        let verify = match self.docker_tls {
            DockerTls::Off => return Ok(None),
            DockerTls::Unverified => Verify::Never,
            DockerTls::Verified => Verify::Strictly,
        };
        let dir = self.docker_cert_path.clone().or_else(|| self.settings());
        let Some(dir) = dir else {
            return Err(BuildError::request_with(
                "DOCKER_TLS_VERIFY is set, and nothing says where the certificates are",
                "set DOCKER_CERT_PATH to the directory of ca.pem, cert.pem and key.pem",
            ));
        };
        let tls = Tls::read(&dir, verify)?;
        if verify == Verify::Strictly && tls.settings.authorities.is_empty() {
            return Err(BuildError::request_with(
                format!(
                    "DOCKER_TLS_VERIFY is set, and there is no `{}`",
                    dir.join("ca.pem").display()
                ),
                "set DOCKER_CERT_PATH to the directory of ca.pem, cert.pem and key.pem",
            ));
        }
        Ok(Some(tls))
    }

    /// The sockets that are looked for where nothing names an engine, in order.
    fn usual(&self) -> Vec<PathBuf> {
        let own = self.xdg_runtime_dir.iter();
        let own = own.map(|dir| dir.join("podman/podman.sock"));
        [PathBuf::from("/var/run/docker.sock")]
            .into_iter()
            .chain(own)
            .chain([PathBuf::from("/run/podman/podman.sock")])
            .collect()
    }
}

/// The first of these sockets that is there.
fn existing(candidates: &[PathBuf]) -> Result<Endpoint, BuildError> {
    let is_socket =
        |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if let Some(found) = candidates.iter().find(is_socket) {
        return Ok(Endpoint::Socket(found.clone()));
    }
    let tried: Vec<String> = candidates
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    Err(BuildError::request_with(
        format!(
            "no engine to load the image into: there is no socket at {}",
            tried.join(", ")
        ),
        "start docker or `podman system service`, set DOCKER_HOST or DOCKER_CONTEXT, or write \
         an archive with `-o type=docker,dest=FILE`",
    ))
}

#[cfg(test)]
mod tests;
