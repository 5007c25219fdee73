//! The hosts that serve a repository.

use acetate_net::{Method, NetError, Request, Url};

use crate::{Repository, Settings};

/// The domain of names without one, and the host that serves it.
pub(crate) const DOCKER_DOMAIN: &str = "docker.io";
const DOCKER_HOST: &str = "registry-1.docker.io";

/// One host that serves a repository, and the name that it has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Host and port.
    pub(crate) host: String,
    /// The name of the repository there.
    pub(crate) path: String,
    /// The registry that a mirror stands for.
    pub(crate) mirrors: Option<String>,
    /// Whether a mirror was written with `http://`.
    pub(crate) is_plain: bool,
}

impl Endpoint {
    /// The registry itself.
    pub(crate) fn origin(repository: &Repository) -> Self {
        Self {
            host: host_of(repository.domain()).to_owned(),
            path: repository.path().to_owned(),
            mirrors: None,
            is_plain: false,
        }
    }

    /// All that may be asked, in order: the mirrors, then the registry itself.
    pub(crate) fn all(repository: &Repository, settings: &Settings) -> Vec<Self> {
        let mirrors = settings
            .of(repository.domain())
            .map(|of_host| of_host.mirrors.as_slice())
            .unwrap_or_default();
        let mirrors = mirrors.iter().map(|mirror| Self {
            host: mirror.host.clone(),
            path: format!("{}{}", mirror.prefix, repository.path()),
            mirrors: Some(repository.domain().to_owned()),
            is_plain: mirror.is_plain(),
        });
        mirrors.chain([Self::origin(repository)]).collect()
    }

    /// A request below the repository.
    pub(crate) fn request(
        &self,
        method: Method,
        scheme: &str,
        path: &str,
    ) -> Result<Request, NetError> {
        let mut request =
            Request::get(&format!("{scheme}://{}/v2/{}/{path}", self.host, self.path))?;
        if let Some(domain) = &self.mirrors {
            // What containerd sends, so that one mirror can serve several registries.
            request.edit_url(|url: &mut Url| {
                url.query_pairs_mut().append_pair("ns", domain);
            });
        }
        Ok(request.with_method(method))
    }
}

/// The host that serves a registry.
fn host_of(domain: &str) -> &str {
    match domain {
        DOCKER_DOMAIN | "index.docker.io" => DOCKER_HOST,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Manner;

    fn repository(text: &str) -> Repository {
        Repository::from(&text.parse().unwrap())
    }

    #[test]
    fn hosts_and_schemes() {
        for (image, prefix) in [
            (
                "busybox",
                "https://registry-1.docker.io/v2/library/busybox/",
            ),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000/v2/a/b/"),
            ("localhost:5000/a", "http://localhost:5000/v2/a/"),
            ("localhost/a", "http://localhost/v2/a/"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/"),
            ("r.example/a", "https://r.example/v2/a/"),
            ("10.0.0.1:80/a", "https://10.0.0.1:80/v2/a/"),
        ] {
            let endpoint = Endpoint::origin(&repository(image));
            let manner = Manner::read(&Settings::default(), &[], &endpoint.host).unwrap();
            let request = endpoint
                .request(Method::Get, manner.scheme, "manifests/x")
                .unwrap();
            assert_eq!(request.url().to_string(), format!("{prefix}manifests/x"));
        }
    }

    #[test]
    fn mirrors_go_first_and_hear_of_whom_they_mirror() {
        let text = "[registry.\"docker.io\"]\nmirrors = [\"m.example/hub\", \"n.example\"]";
        let settings: Settings = toml::from_str(text).unwrap();
        let all = Endpoint::all(&repository("debian"), &settings);
        let urls: Vec<String> = all
            .iter()
            .map(|endpoint| {
                let request = endpoint.request(Method::Get, "https", "tags/list").unwrap();
                request.url().to_string()
            })
            .collect();
        assert_eq!(
            urls,
            [
                "https://m.example/v2/hub/library/debian/tags/list?ns=docker.io",
                "https://n.example/v2/library/debian/tags/list?ns=docker.io",
                "https://registry-1.docker.io/v2/library/debian/tags/list",
            ]
        );
        assert_eq!(
            Endpoint::all(&repository("r.example/a"), &settings).len(),
            1
        );
    }
}
