//! Where the sockets of engines are.

use crate::BuildError;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// The variables that say where engines listen; the values of the program's own environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonEnvironment {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
}

impl DaemonEnvironment {
    /// The sockets that are looked for, in order.
    fn candidates(&self) -> Result<Vec<PathBuf>, BuildError> {
        if let Some(host) = self.docker_host.as_deref().filter(|it| !it.is_empty()) {
            return match host.strip_prefix("unix://") {
                Some(path) if path.starts_with('/') => Ok(vec![PathBuf::from(path)]),
                _ => Err(BuildError::request_with(
                    format!("DOCKER_HOST={host}: images are loaded over unix sockets only"),
                    "set DOCKER_HOST=unix:///PATH, or use `-o type=docker,dest=-` with a program \
                     that loads images there",
                )),
            };
        }
        let own = self.xdg_runtime_dir.iter();
        let own = own.map(|dir| dir.join("podman/podman.sock"));
        Ok([PathBuf::from("/var/run/docker.sock")]
            .into_iter()
            .chain(own)
            .chain([PathBuf::from("/run/podman/podman.sock")])
            .collect())
    }

    /// The socket of the engine that images are loaded into.
    ///
    /// # Errors
    /// When there is none; the error says where one was looked for.
    pub(crate) fn socket(&self) -> Result<PathBuf, BuildError> {
        let candidates = self.candidates()?;
        let is_socket = |path: &&PathBuf| {
            std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
        };
        if let Some(found) = candidates.iter().find(is_socket) {
            return Ok(found.clone());
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
            "start docker or `podman system service`, set DOCKER_HOST=unix:///PATH, or write an \
             archive with `-o type=docker,dest=FILE`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_goes_before_podman_and_a_named_host_before_both() {
        let environment = DaemonEnvironment {
            docker_host: None,
            xdg_runtime_dir: Some("/run/user/1".into()),
        };
        let paths = [
            "/var/run/docker.sock",
            "/run/user/1/podman/podman.sock",
            "/run/podman/podman.sock",
        ];
        assert_eq!(environment.candidates().unwrap(), paths.map(PathBuf::from));
        let named = DaemonEnvironment {
            docker_host: Some("unix:///no/such.sock".to_owned()),
            ..environment
        };
        let error = named.socket().unwrap_err().to_string();
        assert!(error.contains("no socket at `/no/such.sock`"), "{error}");
        for host in ["tcp://h:2375", "ssh://h", "unix://relative"] {
            let other = DaemonEnvironment {
                docker_host: Some(host.to_owned()),
                xdg_runtime_dir: None,
            };
            let error = other.socket().unwrap_err().to_string();
            assert!(error.contains("unix sockets only"), "{error}");
        }
    }
}
