use std::collections::BTreeMap;
use std::path::PathBuf;

use acetate_engine::{DaemonEnvironment, DockerTls, RegistryEnvironment};

/// Names the state directory.
pub(crate) const HOME: &str = "ACETATE_HOME";

/// The environment variables that this program reads, and no others; read once.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// `ACETATE_HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `BUILDKIT_PROGRESS`.
    pub(crate) progress: Option<String>,
    /// `DOCKER_DEFAULT_PLATFORM`.
    pub(crate) default_platform: Option<String>,
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) source_date_epoch: Option<String>,
    /// `SSH_AUTH_SOCK`, the user's agent.
    pub(crate) ssh_auth_sock: Option<PathBuf>,
    /// `ACETATE_CACHE_TOKEN`, for the one cache server that is used; those that begin so are for
    /// the servers that they name.
    pub(crate) cache_token: Option<String>,
    /// `ACETATE_CACHE_HELPER`, which names the program that knows tokens.
    pub(crate) cache_helper: Option<String>,
    /// `BUILDX_METADATA_PROVENANCE`, how much of the provenance `--metadata-file` holds.
    pub(crate) metadata_provenance: Option<String>,
    /// `ACETATE_LOG`, a filter for the program's own log.
    pub(crate) log: Option<String>,
    /// `PATH`, where OCI runtimes are looked for.
    pub(crate) search_path: String,
    all: BTreeMap<String, String>,
}

/// What programs that fetch repositories are told: the way to the network, and whom to trust there.
const FETCHING: &[&str] = &[
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

impl Environment {
    /// The variables for programs that fetch repositories.
    pub(crate) fn for_fetching(&self) -> Vec<(String, String)> {
        self.those_of(FETCHING)
    }

    /// The variables that lead to what registries let us in by.
    pub(crate) fn for_registries(&self) -> RegistryEnvironment {
        let path = |name: &str| {
            let value = self.get(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        // By its specification a relative path in one of these is passed over.
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        RegistryEnvironment {
            home: path("HOME"),
            docker_config: path("DOCKER_CONFIG"),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            xdg_runtime_dir: absolute("XDG_RUNTIME_DIR"),
            xdg_config_home: absolute("XDG_CONFIG_HOME"),
            search_path: self.search_path.clone(),
        }
    }

    /// The variables that lead to the engines that images are loaded into.
    pub(crate) fn for_daemons(&self) -> DaemonEnvironment {
        let text = |name: &str| self.get(name).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        // Any value says yes, `0` and `false` among them, as for docker.
        let docker_tls = match (text("DOCKER_TLS_VERIFY"), text("DOCKER_TLS")) {
            (Some(_), _) => DockerTls::Verified,
            (None, Some(_)) => DockerTls::Unverified,
            (None, None) => DockerTls::Off,
        };
        DaemonEnvironment {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            docker_tls,
            docker_cert_path: path("DOCKER_CERT_PATH"),
            home: path("HOME"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR").filter(|dir| dir.is_absolute()),
            search_path: self.search_path.clone(),
        }
    }

    /// Those of the variables that are set.
    pub(crate) fn those_of(&self, names: &[&str]) -> Vec<(String, String)> {
        let found = names
            .iter()
            .filter_map(|name| self.all.get_key_value(*name));
        found
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Reads the environment of this process; values that are not UTF-8 are left out.
    pub(crate) fn read() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::from_map(std::env::vars_os().filter_map(utf8).collect())
    }

    /// An environment for a test.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self::from_map(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    fn from_map(all: BTreeMap<String, String>) -> Self {
        let set = |name: &str| all.get(name).filter(|value| !value.is_empty()).cloned();
        Self {
            home: set(HOME).map(PathBuf::from),
            progress: set("BUILDKIT_PROGRESS"),
            default_platform: set("DOCKER_DEFAULT_PLATFORM"),
            source_date_epoch: set("SOURCE_DATE_EPOCH"),
            ssh_auth_sock: set("SSH_AUTH_SOCK").map(PathBuf::from),
            cache_token: set("ACETATE_CACHE_TOKEN"),
            cache_helper: set("ACETATE_CACHE_HELPER"),
            metadata_provenance: set("BUILDX_METADATA_PROVENANCE"),
            log: set("ACETATE_LOG"),
            search_path: set("PATH").unwrap_or_default(),
            all,
        }
    }

    /// A variable that the user named, for `--build-arg NAME` and `--secret`.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.all.get(name).cloned()
    }

    /// Where the state lives when no flag says so.
    pub(crate) fn default_root(&self, is_root: bool) -> PathBuf {
        if let Some(home) = &self.home {
            return home.clone();
        }
        if is_root {
            return PathBuf::from("/var/lib/acetate");
        }
        let data = self
            .get("XDG_DATA_HOME")
            .filter(|dir| dir.starts_with('/'))
            .map(PathBuf::from);
        let data = data.unwrap_or_else(|| {
            PathBuf::from(self.get("HOME").unwrap_or_default()).join(".local/share")
        });
        data.join("acetate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_follows_the_environment() {
        let root = |pairs: &[(&str, &str)], is_root| Environment::of(pairs).default_root(is_root);
        assert_eq!(root(&[("ACETATE_HOME", "/a")], true), PathBuf::from("/a"));
        assert_eq!(
            root(&[("HOME", "/h")], true),
            PathBuf::from("/var/lib/acetate")
        );
        assert_eq!(
            root(&[("HOME", "/h")], false),
            PathBuf::from("/h/.local/share/acetate")
        );
        let xdg = [("HOME", "/h"), ("XDG_DATA_HOME", "/x")];
        assert_eq!(root(&xdg, false), PathBuf::from("/x/acetate"));
        let relative = [("HOME", "/h"), ("XDG_DATA_HOME", "x")];
        assert_eq!(
            root(&relative, false),
            PathBuf::from("/h/.local/share/acetate")
        );
    }

    #[test]
    fn any_value_asks_for_tls_and_an_empty_one_does_not() {
        let tls = |pairs: &[(&str, &str)]| Environment::of(pairs).for_daemons().docker_tls;
        for (verify, plain, expected) in [
            ("", "", DockerTls::Off),
            ("1", "", DockerTls::Verified),
            ("0", "", DockerTls::Verified),
            ("", "1", DockerTls::Unverified),
            ("1", "1", DockerTls::Verified),
        ] {
            let pairs = [("DOCKER_TLS_VERIFY", verify), ("DOCKER_TLS", plain)];
            assert_eq!(tls(&pairs), expected, "{pairs:?}");
        }
        assert_eq!(tls(&[]), DockerTls::Off);
    }
}
