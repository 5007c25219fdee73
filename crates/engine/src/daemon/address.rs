//! The addresses of engines, as `DOCKER_HOST` and docker's contexts write them.

use std::path::PathBuf;

/// Who a `tcp://` address without a host means, as for docker.
const LOOPBACK: &str = "127.0.0.1";

/// An address as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `unix://PATH`.
    Socket(PathBuf),
    /// `tcp://HOST[:PORT][/BELOW]`; without a scheme, too.
    Tcp {
        /// In brackets where it is an IPv6 address.
        host: String,
        port: Option<u16>,
        /// Empty, or a path without a slash at its end.
        below: String,
    },
    /// `ssh://[USER@]HOST[:PORT][/SOCKET]`.
    Ssh(SshHost),
}

/// A host that ssh reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshHost {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// The engine's socket there; without it, the one that docker takes there.
    pub(super) socket: Option<String>,
}

impl Address {
    /// Reads an address; what is wrong with it follows "it".
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Socket(PathBuf::from(rest))),
            "unix" => Err("has no absolute path of a socket"),
            "tcp" => tcp(rest),
            "ssh" => ssh(rest).map(Self::Ssh),
            _ => Err("begins with neither unix://, tcp:// nor ssh://"),
        }
    }
}

/// An address as it may be shown: what stands before a host could be a password.
pub(super) fn shown(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) if scheme != "unix://" => format!("{scheme}...@{host}"),
        _ => text.to_owned(),
    }
}

fn tcp(rest: &str) -> Result<Address, &'static str> {
    let (authority, path) = split(rest)?;
    if authority.contains('@') {
        return Err("names a user, whom tcp:// knows nothing of");
    }
    let (host, port) = host_and_port(authority)?;
    let host = if host.is_empty() { LOOPBACK } else { host };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
        below: path.trim_end_matches('/').to_owned(),
    })
}

fn ssh(rest: &str) -> Result<SshHost, &'static str> {
    let (authority, path) = split(rest)?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("holds a password, which ssh does not take; use a key and an agent");
    }
    let (host, port) = host_and_port(place)?;
    // Ssh wants no brackets where the port stands apart.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || user == Some("") {
        return Err("has no host, or an empty user");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !path.chars().all(is_plain) {
        return Err("has a path with characters that a shell would not leave alone");
    }
    Ok(SshHost {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
        socket: (path.len() > 1).then(|| path.to_owned()),
    })
}

/// The part before the first slash, and the rest with it.
fn split(rest: &str) -> Result<(&str, &str), &'static str> {
    if rest.contains(|c: char| "?#".contains(c) || c.is_whitespace() || c.is_control()) {
        return Err("holds a blank, a query or a fragment");
    }
    Ok(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end_of_host = text.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = text[end_of_host..].find(':') else {
        return Ok((text, None));
    };
    let (host, port) = text.split_at(end_of_host + colon);
    match port[1..].parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err("has no port behind its colon"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: Option<u16>, below: &str) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
            below: below.to_owned(),
        }
    }

    fn ssh(user: &str, host: &str, port: Option<u16>, socket: &str) -> Address {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Address::Ssh(SshHost {
            user: given(user),
            host: host.to_owned(),
            port,
            socket: given(socket),
        })
    }

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("unix:///run/x.sock", Address::Socket("/run/x.sock".into())),
            ("tcp://h:2375", tcp("h", Some(2375), "")),
            ("tcp://h", tcp("h", None, "")),
            ("h:2375", tcp("h", Some(2375), "")),
            ("tcp://:2375", tcp("127.0.0.1", Some(2375), "")),
            ("tcp://", tcp("127.0.0.1", None, "")),
            ("tcp://[::1]:2375", tcp("[::1]", Some(2375), "")),
            ("tcp://[::1]", tcp("[::1]", None, "")),
            ("tcp://h:1/a/b/", tcp("h", Some(1), "/a/b")),
            ("tcp://h/", tcp("h", None, "")),
            ("ssh://h", ssh("", "h", None, "")),
            ("ssh://me@h:22", ssh("me", "h", Some(22), "")),
            ("ssh://a@b@h/", ssh("a@b", "h", None, "")),
            ("ssh://me@[fe80::1]:22", ssh("me", "fe80::1", Some(22), "")),
            ("ssh://h/run/x.sock", ssh("", "h", None, "/run/x.sock")),
        ] {
            assert_eq!(Address::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_docker_would_not_take_is_refused() {
        for (text, words) in [
            ("unix://relative", "no absolute path"),
            ("unix://", "no absolute path"),
            ("http://h:2375", "neither unix://"),
            ("npipe:////./pipe/docker", "neither unix://"),
            ("tcp://me@h:2375", "names a user"),
            ("tcp://h:port", "no port"),
            ("tcp://h:0", "no port"),
            ("tcp://h:65536", "no port"),
            ("tcp://::1", "no port"),
            ("tcp://h:1/?a=b", "a query"),
            ("ssh://", "no host"),
            ("ssh://@h", "an empty user"),
            ("ssh://me:secret@h", "holds a password"),
            ("ssh://h /x", "a blank"),
            ("ssh://h/$(x)", "a shell"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for (text, expected) in [
            ("ssh://me:secret@h", "ssh://...@h"),
            ("tcp://a:b@h:1/x", "tcp://...@h:1/x"),
            ("unix:///a@b", "unix:///a@b"),
            ("h:1", "h:1"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
