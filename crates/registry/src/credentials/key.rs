//! Under which names a registry may stand in a file of credentials.

use crate::Repository;
use crate::endpoint::DOCKER_DOMAIN;

/// The name of Docker Hub in these files, for historical reasons.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// How well a key fits a repository; the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// It names the host in another spelling: with a scheme or a path of the interface.
    Spelling,
    /// It names the host.
    Host,
    /// It names so many bytes of the repository's name, as podman's files may.
    Path(usize),
}

/// How a key fits; none when it is for something else.
pub(crate) fn fit(key: &str, repository: &Repository) -> Option<Fit> {
    if key == server(repository) {
        return Some(Fit::Host);
    }
    let (bare, had_scheme) = match key.split_once("://") {
        Some(("http" | "https", rest)) => (rest, true),
        Some(_) => return None,
        None => (key, false),
    };
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    if !same_host(host, repository.domain()) {
        return None;
    }
    let path = path.trim_matches('/');
    match (path, had_scheme) {
        ("", false) => Some(Fit::Host),
        ("" | "v1" | "v2", _) | (_, true) => Some(Fit::Spelling),
        (path, false) => {
            let rest = repository.path().strip_prefix(path)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(Fit::Path(path.len()))
        }
    }
}

/// The name by which a helper is asked for a registry.
pub(crate) fn server(repository: &Repository) -> &str {
    match repository.domain() {
        DOCKER_DOMAIN | "index.docker.io" | "registry-1.docker.io" => DOCKER_KEY,
        other => other,
    }
}

fn same_host(named: &str, domain: &str) -> bool {
    let is_hub =
        |host: &str| [DOCKER_DOMAIN, "index.docker.io", "registry-1.docker.io"].contains(&host);
    named.eq_ignore_ascii_case(domain) || (is_hub(named) && is_hub(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_hosts_and_paths() {
        let fits = |key: &str, image: &str| fit(key, &Repository::from(&image.parse().unwrap()));
        for (key, image, expected) in [
            (DOCKER_KEY, "debian", Some(Fit::Host)),
            ("docker.io", "debian", Some(Fit::Host)),
            ("index.docker.io", "debian", Some(Fit::Host)),
            ("docker.io/org", "org/app", Some(Fit::Path(3))),
            ("r.example", "r.example/a", Some(Fit::Host)),
            ("R.example", "r.example/a", Some(Fit::Host)),
            ("https://r.example", "r.example/a", Some(Fit::Spelling)),
            ("http://r.example/v1/", "r.example/a", Some(Fit::Spelling)),
            ("r.example/v2/", "r.example/a", Some(Fit::Spelling)),
            ("r.example/a", "r.example/a/b", Some(Fit::Path(1))),
            ("r.example/a", "r.example/ab", None),
            ("r.example:5000", "r.example/a", None),
            ("r.example", "r.example:5000/a", None),
            ("r.example", "debian", None),
            ("ftp://r.example", "r.example/a", None),
        ] {
            assert_eq!(fits(key, image), expected, "{key} for {image}");
        }
        assert!(Fit::Path(1) > Fit::Host && Fit::Host > Fit::Spelling);
    }
}
