//! What to do about an error.

use acetate_net::NetError;

use crate::RegistryError;

impl RegistryError {
    /// What helps, in a sentence; none where the error says it itself.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => Some(
                "check the name, its tag and its digest, and whether it was pushed; \
                 registries hide what a login may not see",
            ),
            Self::Corrupt { .. } => Some(
                "the registry, a mirror or a proxy between gives other bytes than were promised: \
                 try again, then push the image anew or use another mirror",
            ),
            Self::Refused { status, .. } => Some(of_status(*status)),
            Self::Token { source, .. } => match &**source {
                Self::Refused { .. } | Self::Corrupt { .. } => Some(
                    "the token server that the registry names has a fault: try again later, or \
                     tell those who run it",
                ),
                source => source.hint(),
            },
            Self::Net(error) => of_network(error),
            Self::Overwritten { .. }
            | Self::Denied { .. }
            | Self::Helper { .. }
            | Self::Settings(_)
            | Self::Source { .. } => None,
        }
    }
}

fn of_status(status: u16) -> &'static str {
    match status {
        404 => "make the repository in the registry, or check its name",
        405 | 501 => "the registry does not know this request: check its host and port",
        413 => "the registry, or a proxy in front of it, limits sizes: raise that limit",
        429 => {
            "the registry limits how much it is asked: log in with `docker login`, wait, or use a \
             mirror in `registries.toml`"
        }
        500.. => "the registry has a fault: try again later, or tell those who run it",
        _ => "the registry does not accept this: its own log tells why",
    }
}

fn of_network(error: &NetError) -> Option<&'static str> {
    match error {
        NetError::PlainHttp { .. } => Some("say `http = true` for that host in `registries.toml`"),
        NetError::Unreachable { .. } => Some(
            "check the host, its port, and the network; `registries.toml` says who speaks plain \
             HTTP and whose certificates are taken",
        ),
        NetError::Interrupted { .. } | NetError::Stalled { .. } => {
            Some("the connection breaks off: check the network and proxies, and try again")
        }
        NetError::Redirect { .. } => {
            Some("the registry is set up wrongly: those who run it can tell where it should lead")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_hint() {
        for (status, words) in [
            (400, "its own log"),
            (404, "make the repository"),
            (413, "raise that limit"),
            (429, "docker login"),
            (502, "try again later"),
        ] {
            let error = RegistryError::Refused {
                what: "send x".to_owned(),
                status,
                reason: String::new(),
            };
            assert!(error.hint().unwrap().contains(words), "{status}");
            let of_token = RegistryError::Token {
                what: "pull from `x`".to_owned(),
                source: Box::new(error),
            };
            assert!(of_token.hint().unwrap().contains("token server"));
        }
    }
}
