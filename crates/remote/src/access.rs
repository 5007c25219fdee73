use acetate_stdx::Redacted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The credentials of one build.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Secrets by their ids; those that are named after no host are ignored here.
    pub secrets: BTreeMap<String, Redacted<String>>,
    /// The sockets of agents and the private keys that `--ssh default` names.
    pub ssh: Vec<PathBuf>,
}

/// A header for git, and the addresses that it is sent to.
#[derive(Debug, Clone)]
pub(crate) struct GitHeader {
    /// Every address that begins like this.
    pub(crate) scope: String,
    /// The value of `Authorization`.
    pub(crate) value: Redacted<String>,
}

/// Hosts whose repositories share a token, as their own tools have it.
const SHARED: &[&str] = &["https://github.com/", "https://www.github.com/"];

impl Access {
    /// Whether a secret of this id is one that [`Access::secrets`] is asked for.
    pub fn wants(id: &str) -> bool {
        [
            "HTTP_AUTH_HEADER_",
            "HTTP_AUTH_TOKEN_",
            "GIT_AUTH_TOKEN",
            "GIT_AUTH_HEADER",
        ]
        .iter()
        .any(|prefix| id.starts_with(prefix))
    }

    /// The `Authorization` for a file on `host`, which may carry a port.
    pub(crate) fn http(&self, host: &str) -> Option<Redacted<String>> {
        hosts(host).find_map(|host| {
            let header = self.secret(&format!("HTTP_AUTH_HEADER_{host}"));
            header.or_else(|| {
                let token = self.secret(&format!("HTTP_AUTH_TOKEN_{host}"))?;
                Some(Redacted::new(format!("Bearer {}", token.expose())))
            })
        })
    }

    /// The header for the repository `url` on `host`. A secret that names no host is only for the
    /// repository that the user named, never for its submodules elsewhere.
    pub(crate) fn git(&self, url: &str, origin: &str, host: &str, main: &str) -> Option<GitHeader> {
        for host in hosts(host) {
            if let Some(value) = self.git_secret(&format!(".{host}")) {
                let scope = format!("{origin}/");
                return Some(GitHeader { scope, value });
            }
        }
        let shared = SHARED.iter().find(|prefix| main.starts_with(**prefix));
        let scope = shared.map_or(main, |prefix| *prefix);
        if !url.starts_with(scope) {
            return None;
        }
        let value = self.git_secret("")?;
        let scope = scope.to_owned();
        Some(GitHeader { scope, value })
    }

    fn git_secret(&self, suffix: &str) -> Option<Redacted<String>> {
        if let Some(token) = self.secret(&format!("GIT_AUTH_TOKEN{suffix}")) {
            return Some(basic("x-access-token", token.expose()));
        }
        self.secret(&format!("GIT_AUTH_HEADER{suffix}"))
    }

    /// A secret from a file mostly ends with a line break that is no part of it.
    fn secret(&self, id: &str) -> Option<Redacted<String>> {
        let value = self.secrets.get(id)?.expose().trim();
        // What holds a line break cannot be one header.
        let is_header = !value.is_empty() && !value.contains(['\n', '\r', '\0']);
        is_header.then(|| Redacted::new(value.to_owned()))
    }
}

/// The value of `Authorization` for a user and a password.
pub(crate) fn basic(user: &str, password: &str) -> Redacted<String> {
    Redacted::new(format!(
        "basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

/// The host with its port first, then without.
fn hosts(host: &str) -> impl Iterator<Item = &str> {
    let bare = host.rsplit_once(':').map(|(bare, _)| bare);
    std::iter::once(host).chain(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(secrets: &[(&str, &str)]) -> Access {
        let secret =
            |(id, value): &(&str, &str)| ((*id).to_owned(), Redacted::new((*value).to_owned()));
        Access {
            secrets: secrets.iter().map(secret).collect(),
            ssh: Vec::new(),
        }
    }

    #[test]
    fn a_file_takes_the_secret_of_its_host() {
        let http = |secrets: &[(&str, &str)], host| {
            let found = access(secrets).http(host);
            found.map(|value| value.expose().clone())
        };
        let header = ("HTTP_AUTH_HEADER_a.test", "Digest x\n");
        let token = ("HTTP_AUTH_TOKEN_a.test", "t");
        assert_eq!(
            http(&[header, token], "a.test").as_deref(),
            Some("Digest x")
        );
        assert_eq!(http(&[token], "a.test:81").as_deref(), Some("Bearer t"));
        assert_eq!(http(&[header, token], "b.test"), None);
        assert_eq!(http(&[("HTTP_AUTH_TOKEN_a.test", "a\nb")], "a.test"), None);
    }

    #[test]
    fn a_token_without_a_host_stays_with_the_repository_that_was_named() {
        let git = |secrets: &[(&str, &str)], url: &str, main: &str| {
            let host = url.split('/').nth(2).unwrap();
            let found = access(secrets).git(url, &format!("https://{host}"), host, main);
            found.map(|header| (header.scope, header.value.expose().clone()))
        };
        let token = ("GIT_AUTH_TOKEN", "t");
        let own = ("GIT_AUTH_TOKEN.b.test", "u");
        let value = "basic eC1hY2Nlc3MtdG9rZW46dA==".to_owned();
        let main = "https://a.test/x.git";
        assert_eq!(
            git(&[token], main, main),
            Some((main.to_owned(), value.clone()))
        );
        assert_eq!(git(&[token], "https://a.test/y.git", main), None);
        assert_eq!(git(&[token], "https://b.test/x.git", main), None);
        let other = git(&[token, own], "https://b.test/x.git", main).unwrap();
        assert_eq!(other.0, "https://b.test/");
        assert_eq!(other.1, "basic eC1hY2Nlc3MtdG9rZW46dQ==");
        let hub = git(&[token], "https://github.com/a/y", "https://github.com/a/x");
        assert_eq!(hub, Some(("https://github.com/".to_owned(), value)));
        let header = git(&[("GIT_AUTH_HEADER", "Bearer z")], main, main);
        assert_eq!(header, Some((main.to_owned(), "Bearer z".to_owned())));
    }
}
