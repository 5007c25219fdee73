//! How to be let in: where credentials, settings and certificates are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use acetate_stdx::clock::{Clock, SystemClock};

use crate::Settings;

/// How long a program that keeps credentials may take.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// What [`Registries`](crate::Registries) know of the outside.
#[derive(Clone, Debug)]
pub struct Access {
    /// The files with credentials, the one that is asked first in front.
    pub auth: AuthPaths,
    /// How single registries are to be treated.
    pub settings: Settings,
    /// Directories with a directory of certificates for each host, as docker has them.
    pub certificates: Vec<PathBuf>,
    /// Where programs that keep credentials are looked for, as in `PATH`.
    pub search_path: String,
    /// How long such a program may take.
    pub helper_limit: Duration,
    /// How many blobs are sent at once.
    pub n_uploads: usize,
    /// The bytes of a chunk, where blobs are to be sent in chunks from the beginning; without it they
    /// are when a registry does not take them whole.
    pub chunk_size: Option<u64>,
    /// Tells when tokens end.
    pub clock: Arc<dyn Clock>,
}

impl Access {
    /// Without credentials and settings.
    pub fn anonymous() -> Self {
        Self {
            auth: AuthPaths::default(),
            settings: Settings::default(),
            certificates: Vec::new(),
            search_path: String::new(),
            helper_limit: HELPER_LIMIT,
            n_uploads: 4,
            chunk_size: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// What the environment says; reads the settings' files.
    ///
    /// # Errors
    /// A file of settings that is there and cannot be used.
    pub fn standard(environment: &Environment) -> Result<Self, crate::SettingsError> {
        let mut access = Self::anonymous();
        access.auth = AuthPaths::standard(environment);
        access.settings = Settings::read(&environment.settings())?;
        access.certificates = environment.certificates();
        access.search_path.clone_from(&environment.search_path);
        Ok(access)
    }
}

/// The variables that say where things are; the values of the program's own environment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`, a directory.
    pub docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`, podman's.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `PATH`.
    pub search_path: String,
}

impl Environment {
    /// The files of settings, from the one whose words go before those of the others.
    fn settings(&self) -> Vec<PathBuf> {
        let own = self.config().map(|dir| dir.join("acetate/registries.toml"));
        let all = PathBuf::from("/etc/acetate/registries.toml");
        own.into_iter().chain([all]).collect()
    }

    fn certificates(&self) -> Vec<PathBuf> {
        let own = self.config().map(|dir| dir.join("docker/certs.d"));
        let all = PathBuf::from("/etc/docker/certs.d");
        own.into_iter().chain([all]).collect()
    }

    fn config(&self) -> Option<PathBuf> {
        let by_home = || self.home.as_ref().map(|home| home.join(".config"));
        self.xdg_config_home.clone().or_else(by_home)
    }
}

/// Files with credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthPaths {
    /// The first file that knows a registry decides.
    pub files: Vec<PathBuf>,
}

impl AuthPaths {
    /// Docker's file, then podman's, in the orders in which these programs look for their own.
    pub fn standard(environment: &Environment) -> Self {
        let home = environment.home.as_ref();
        let docker = match &environment.docker_config {
            Some(dir) => Some(dir.join("config.json")),
            None => home.map(|home| home.join(".docker/config.json")),
        };
        let podman = match &environment.registry_auth_file {
            // As for podman, a file that is named is the only one.
            Some(file) => vec![file.clone()],
            None => [environment.xdg_runtime_dir.clone(), environment.config()]
                .into_iter()
                .flatten()
                .map(|dir| dir.join("containers/auth.json"))
                .collect(),
        };
        Self {
            files: docker.into_iter().chain(podman).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(environment: &Environment) -> Vec<String> {
        let paths = AuthPaths::standard(environment).files;
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn dockers_file_goes_before_podmans() {
        let mut environment = Environment {
            home: Some("/h".into()),
            xdg_runtime_dir: Some("/run/1".into()),
            ..Environment::default()
        };
        assert_eq!(
            files(&environment),
            [
                "/h/.docker/config.json",
                "/run/1/containers/auth.json",
                "/h/.config/containers/auth.json"
            ]
        );
        environment.docker_config = Some("/d".into());
        environment.registry_auth_file = Some("/p.json".into());
        assert_eq!(files(&environment), ["/d/config.json", "/p.json"]);
        assert!(files(&Environment::default()).is_empty());
    }

    #[test]
    fn the_users_settings_go_before_those_of_the_machine() {
        let environment = Environment {
            home: Some("/h".into()),
            ..Environment::default()
        };
        let paths = environment.settings();
        assert_eq!(
            paths[0],
            PathBuf::from("/h/.config/acetate/registries.toml")
        );
        assert_eq!(paths[1], PathBuf::from("/etc/acetate/registries.toml"));
        let other = Environment {
            xdg_config_home: Some("/x".into()),
            ..environment
        };
        assert_eq!(other.certificates()[0], PathBuf::from("/x/docker/certs.d"));
    }
}
