//! Trusts one host in another way than all others.

use reqwest::{Certificate, Identity, Url};

use acetate_stdx::Redacted;

use crate::client::Clients;
use crate::error::root_cause;

/// How the certificate of a host is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// As it should be.
    #[default]
    Strictly,
    /// Not at all: the user asked for it by name.
    Never,
}

/// Authorities that are trusted besides those of the machine, as PEM.
pub type Authorities = Vec<Vec<u8>>;

/// Who we are to a host that asks for it.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The certificate and those above it, as PEM.
    pub certificate: Vec<u8>,
    /// Its key, as PEM.
    pub key: Redacted<Vec<u8>>,
}

/// How one host is to be trusted; nothing of it reaches another host or port.
#[derive(Clone, Debug, Default)]
pub struct HostTrust {
    /// `name` or `name:port`, as it stands in addresses.
    pub host: String,
    /// Whether plain `http:` may be spoken to it.
    pub is_plain_allowed: bool,
    /// How its certificate is judged.
    pub verify: Verify,
    /// Who may have signed it, besides the authorities of the machine.
    pub authorities: Authorities,
    /// Who we are to it.
    pub identity: Option<ClientIdentity>,
}

/// A host's trust and the clients that follow from it.
#[derive(Debug)]
pub(crate) struct Trusted {
    trust: HostTrust,
    pub(crate) clients: Clients,
}

impl Trusted {
    pub(crate) fn new(trust: HostTrust) -> Self {
        Self {
            trust,
            clients: Clients::default(),
        }
    }

    /// Whether an address is of this host and port.
    pub(crate) fn is_for(&self, url: &Url) -> bool {
        let named = Url::parse(&format!("{}://{}", url.scheme(), self.trust.host));
        named.is_ok_and(|named| named.origin() == url.origin())
    }

    /// Whether plain HTTP to an address was asked for.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        url.scheme() == "http" && self.trust.is_plain_allowed && self.is_for(url)
    }

    pub(crate) fn settle(
        &self,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, String> {
        let host = &self.trust.host;
        let mut builder = builder.tls_certs_merge(certificates(host, &self.trust.authorities)?);
        if let Some(us) = &self.trust.identity {
            builder = builder.identity(identity(host, us)?);
        }
        if self.trust.verify == Verify::Never {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        Ok(builder)
    }
}

/// The certificates in texts that are about `host`; each has to hold one.
pub(crate) fn certificates(host: &str, texts: &[Vec<u8>]) -> Result<Vec<Certificate>, String> {
    let mut certificates = Vec::new();
    for pem in texts {
        let found = Certificate::from_pem_bundle(pem).map_err(|error| {
            format!("read the authorities for `{host}`: {}", root_cause(&error))
        })?;
        if found.is_empty() {
            return Err(format!(
                "read the authorities for `{host}`: there is no PEM certificate"
            ));
        }
        certificates.extend(found);
    }
    Ok(certificates)
}

/// Who we are to `host`.
pub(crate) fn identity(host: &str, identity: &ClientIdentity) -> Result<Identity, String> {
    let mut pem = identity.key.expose().clone();
    pem.push(b'\n');
    pem.extend_from_slice(&identity.certificate);
    // The cause is left out: it could quote the key.
    Identity::from_pem(&pem).map_err(|_| {
        format!("read the client certificate for `{host}`: it and its key are no PEM pair")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(host: &str) -> Trusted {
        Trusted::new(HostTrust {
            host: host.to_owned(),
            is_plain_allowed: true,
            ..HostTrust::default()
        })
    }

    #[test]
    fn trust_ends_at_the_port() {
        for (host, url, expected) in [
            ("r.example", "https://r.example/v2/", true),
            ("r.example", "http://r.example/v2/", true),
            ("r.example:5000", "https://R.EXAMPLE:5000/v2/", true),
            ("r.example:443", "https://r.example/v2/", true),
            ("r.example", "https://r.example:5000/v2/", false),
            ("r.example", "https://a.r.example/v2/", false),
            ("[::1]:5000", "https://[::1]:5000/", true),
            ("no host", "https://r.example/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(trusted(host).is_for(&url), expected, "{host} {url}");
        }
        let allows = |url: &str| trusted("r.example").allows(&Url::parse(url).unwrap());
        assert!(allows("http://r.example/"));
        assert!(!allows("http://other.example/") && !allows("ftp://r.example/"));
    }
}
