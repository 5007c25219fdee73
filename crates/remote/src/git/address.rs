use crate::access::basic;
use crate::{Access, RemoteError};
use acetate_net::Url;
use acetate_stdx::Redacted;

/// Where a repository is, without its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// What git is given.
    pub(crate) url: String,
    /// How it is reached.
    pub(crate) transport: Transport,
    /// The user and password that stood in the address, as a header.
    pub(crate) own: Option<Redacted<String>>,
}

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `http:` and `https:`, with `scheme://host[:port]` and the host.
    Http {
        /// `scheme://host[:port]`.
        origin: String,
        /// `host[:port]`.
        host: String,
    },
    /// `ssh:`, and `user@host:path`.
    Ssh,
    /// `git:`.
    Daemon,
    /// A directory of this machine.
    File,
}

impl Address {
    /// Takes apart what the user, or a `.gitmodules`, gives as an address.
    pub(crate) fn parse(text: &str) -> Result<Self, RemoteError> {
        let bad = |reason: &str| RemoteError::Address {
            remote: redacted(text),
            reason: reason.to_owned(),
        };
        if text.starts_with('-') || text.contains(|c: char| c.is_control()) {
            return Err(bad("it is no address"));
        }
        let plain = |transport| Self {
            url: text.to_owned(),
            transport,
            own: None,
        };
        match text.split_once("://") {
            Some(("http" | "https", _)) => Self::http(text).ok_or_else(|| bad("it is no URL")),
            Some(("ssh", rest)) => {
                let (place, path) = rest.split_once('/').ok_or_else(|| bad("it has no path"))?;
                let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
                // A password would be an argument of ssh, which takes none anyway.
                let user = user.split(':').next().unwrap_or_default();
                if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
                    return Err(bad("it has no host"));
                }
                let place = if user.is_empty() {
                    host.to_owned()
                } else {
                    format!("{user}@{host}")
                };
                Ok(Self {
                    url: format!("ssh://{place}/{path}"),
                    ..plain(Transport::Ssh)
                })
            }
            Some(("git", rest)) if !rest.starts_with(['-', '/']) => Ok(plain(Transport::Daemon)),
            Some(("file", path)) if path.starts_with('/') => Ok(plain(Transport::File)),
            Some(_) => Err(bad("git is reached through https, http, ssh and git only")),
            None if text.starts_with('/') => Ok(plain(Transport::File)),
            None => match text.split_once(':') {
                Some((place, path)) if is_scp(place, path) => Ok(plain(Transport::Ssh)),
                _ => Err(bad("it is no address of a repository")),
            },
        }
    }

    fn http(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        let host = url.host_str()?.to_owned();
        let host = url
            .port()
            .map_or(host.clone(), |port| format!("{host}:{port}"));
        let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
        let has_own = !user.is_empty() || password.is_some();
        let own = has_own.then(|| basic(&decoded(&user), &decoded(&password.unwrap_or_default())));
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        let origin = format!("{}://{host}", url.scheme());
        Some(Self {
            url: url.to_string(),
            transport: Transport::Http { origin, host },
            own,
        })
    }

    /// What git is told about itself: the header to send, and where. `main` is the repository that
    /// the user named.
    pub(crate) fn header(&self, access: &Access, main: &str) -> Option<(String, Redacted<String>)> {
        let Transport::Http { origin, host } = &self.transport else {
            return None;
        };
        if let Some(header) = access.git(&self.url, origin, host, main) {
            return Some((header.scope, header.value));
        }
        Some((self.url.clone(), self.own.clone()?))
    }
}

/// Whether `PLACE:PATH` is what scp takes.
fn is_scp(place: &str, path: &str) -> bool {
    let host = place.rsplit('@').next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@[]:".contains(c);
    !host.is_empty()
        && !host.starts_with('-')
        && !path.is_empty()
        // Two colons name a program that git would run.
        && !path.starts_with(['-', ':'])
        && place.chars().all(is_plain)
}

/// The address without user, password and query, for messages and for the `.git` that is kept. The
/// user of ssh stays: it is part of the address there.
pub fn redacted(remote: &str) -> String {
    let Some((scheme, rest)) = remote.split_once("://") else {
        return remote.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let place = match place.rsplit_once('@') {
        Some((user, host)) if scheme == "ssh" => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{user}@{host}")
        }
        Some((_, host)) => host.to_owned(),
        None => place.to_owned(),
    };
    format!("{scheme}://{place}{path}")
}

/// Undoes percent signs; what is no UTF-8 then stays as it was.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        if let [b'%', high, low, tail @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// The address of a submodule as seen from its repository, as git itself reads it.
pub(crate) fn relative(parent: &str, url: &str) -> Option<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Some(url.to_owned());
    }
    let mut base = parent.trim_end_matches('/').to_owned();
    let mut separator = '/';
    let mut rest = url;
    loop {
        if let Some(tail) = rest.strip_prefix("./") {
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("../") {
            rest = tail;
            let at = base.rfind(['/', ':'])?;
            separator = base[at..].chars().next()?;
            // The host is no directory that could be left.
            if base[..at].ends_with(":/") || base[..at].ends_with(':') {
                return None;
            }
            base.truncate(at);
        } else {
            break;
        }
    }
    Some(format!("{base}{separator}{}", rest.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, url, transport) in [
            (
                "ssh://git:pw@h:22/p.git",
                "ssh://git@h:22/p.git",
                Transport::Ssh,
            ),
            ("ssh://h/p", "ssh://h/p", Transport::Ssh),
            ("git@h.test:o/p.git", "git@h.test:o/p.git", Transport::Ssh),
            ("git://h/p", "git://h/p", Transport::Daemon),
            ("file:///a/b", "file:///a/b", Transport::File),
            ("/a/b", "/a/b", Transport::File),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.url.as_str(), address.transport),
                (url, transport),
                "{text}"
            );
        }
        let address = Address::parse("https://u%40x:p@h:8443/p.git").unwrap();
        assert_eq!(address.url, "https://h:8443/p.git");
        assert_eq!(address.own.unwrap().expose(), "basic dUB4OnA=");
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for text in [
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ssh://-x/p",
            "ssh://h",
            "ext::sh -c x",
            "fd::3",
            "ftp://u:secret@h/p",
            "a/b",
            "",
            "h:-x",
            "git://-x/y",
            "file://x/y",
            "a\nb:c",
            "https://",
            "file:a",
        ] {
            let Err(error) = Address::parse(text) else {
                assert_eq!(text, "file:a");
                continue;
            };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(redacted("https://u:p@h/x?t=1#f"), "https://h/x");
        assert_eq!(redacted("ssh://git:p@h/x"), "ssh://git@h/x");
        assert_eq!(redacted("git@h:x"), "git@h:x");
    }

    #[test]
    fn addresses_of_submodules_are_relative_to_their_repository() {
        for (parent, url, expected) in [
            ("https://h/a/b.git", "../c.git", Some("https://h/a/c.git")),
            ("https://h/a/b.git/", "./c", Some("https://h/a/b.git/c")),
            (
                "https://h/a/b.git",
                "../../x/c.git",
                Some("https://h/x/c.git"),
            ),
            ("https://h/a", "../../../etc", None),
            ("git@h:a/b.git", "../c.git", Some("git@h:a/c.git")),
            ("git@h:b.git", "../c.git", Some("git@h:c.git")),
            ("https://h/a", "https://o/x", Some("https://o/x")),
            ("/srv/a", "../b/", Some("/srv/b")),
        ] {
            assert_eq!(relative(parent, url).as_deref(), expected, "{parent} {url}");
        }
    }
}
