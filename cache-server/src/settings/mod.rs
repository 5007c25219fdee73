//! Settings from a file: all that flags can say, with the same names.

mod error;
mod names;
mod size;
#[cfg(test)]
mod tests;
mod values;

pub use error::SettingsError;
pub use size::size;

use crate::Limits;
use crate::auth::{CERTIFICATE_NAMES, Issuer, Rule, Scope, Trust};
use crate::storage::BucketUrl;
use crate::upstream::UpstreamUrl;
use acetate_cache_api::Namespace;
use acetate_stdx::atomic::Durability;
use names::{NAMES, near};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a file or the flags say; none where they are silent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Where objects are kept.
    pub dir: Option<PathBuf>,
    /// The bucket that holds all objects.
    #[serde(deserialize_with = "values::one")]
    pub storage: Option<BucketUrl>,
    /// Another server, which is asked for what is missing here.
    #[serde(deserialize_with = "values::one")]
    pub upstream: Option<UpstreamUrl>,
    /// A file with the token for the upstream.
    pub upstream_token_file: Option<PathBuf>,
    /// A file of tokens.
    pub auth: Option<PathBuf>,
    /// What requests without a token may do.
    #[serde(deserialize_with = "values::parsed")]
    pub anonymous: Option<Vec<Scope>>,
    /// Ask for no token at all.
    pub insecure_open: Option<bool>,
    /// The certificate to answer HTTPS with.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Who signs the certificates of clients.
    pub tls_client_ca: Option<PathBuf>,
    /// Who signs tokens; for files only.
    pub oidc: Option<Vec<Issuer>>,
    /// What names in certificates of clients allow; for files only.
    pub certificate: Option<Vec<Rule>>,
    /// Bytes that all objects may use together.
    #[serde(deserialize_with = "values::bytes")]
    pub max_size: Option<u64>,
    /// Namespaces whose records are opaque bytes.
    #[serde(deserialize_with = "values::parsed")]
    pub opaque: Option<Vec<Namespace>>,
    /// Namespaces in which every path is an object.
    #[serde(deserialize_with = "values::parsed")]
    pub raw: Option<Vec<Namespace>>,
    /// Remove the longest unused first.
    pub lru: Option<bool>,
    /// Answer an upload of content before its bytes are on the disk.
    pub no_sync: Option<bool>,
    /// Connections at a time.
    pub max_connections: Option<usize>,
    /// Uploads of one token at a time.
    pub max_uploads: Option<usize>,
    /// Bytes that the open uploads of one token may be long together.
    #[serde(deserialize_with = "values::bytes")]
    pub max_upload_size: Option<u64>,
    /// Bytes a second that a body must make.
    #[serde(deserialize_with = "values::bytes")]
    pub min_rate: Option<u64>,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// When a name or a value in it is unknown: what is misspelt must not be left out silently.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let form = |error: toml::de::Error| SettingsError::Form(error.to_string());
        let table: toml::Table = text.parse().map_err(form)?;
        if let Some(name) = table.keys().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(SettingsError::Unknown {
                name: name.clone(),
                near: near(name),
            });
        }
        // The text is read again, since errors of a table do not say where they are.
        toml::from_str(text).map_err(form)
    }

    /// These settings, and the others where these are silent.
    pub fn or(self, other: Self) -> Result<Self, SettingsError> {
        // A flag for one way of asking for tokens ends the other way of the file.
        let (other_auth, other_open) = match (&self.auth, self.insecure_open) {
            (Some(_), _) => (None, None),
            (None, Some(true)) => (None, other.insecure_open),
            _ => (other.auth, other.insecure_open),
        };
        let settings = Self {
            listen: self.listen.or(other.listen),
            dir: self.dir.or(other.dir),
            storage: self.storage.or(other.storage),
            upstream: self.upstream.or(other.upstream),
            upstream_token_file: self.upstream_token_file.or(other.upstream_token_file),
            auth: self.auth.or(other_auth),
            anonymous: self.anonymous.or(other.anonymous),
            insecure_open: self.insecure_open.or(other_open),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            oidc: self.oidc.or(other.oidc),
            certificate: self.certificate.or(other.certificate),
            max_size: self.max_size.or(other.max_size),
            opaque: self.opaque.or(other.opaque),
            raw: self.raw.or(other.raw),
            lru: self.lru.or(other.lru),
            no_sync: self.no_sync.or(other.no_sync),
            max_connections: self.max_connections.or(other.max_connections),
            max_uploads: self.max_uploads.or(other.max_uploads),
            max_upload_size: self.max_upload_size.or(other.max_upload_size),
            min_rate: self.min_rate.or(other.min_rate),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<(), SettingsError> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(SettingsError::HalfTls);
        }
        if self.upstream_token_file.is_some() && self.upstream.is_none() {
            return Err(SettingsError::TokenForNobody);
        }
        if self.insecure_open == Some(true) && self.auth.is_some() {
            return Err(SettingsError::OpenAndAuth);
        }
        if self.raw.iter().flatten().any(Namespace::is_root) {
            return Err(SettingsError::AllRaw);
        }
        let has_clients = self.tls_client_ca.is_some() && self.tls_cert.is_some();
        let wants_clients = self.tls_client_ca.is_some() || self.certificate.is_some();
        if wants_clients && !has_clients {
            return Err(SettingsError::NoClients);
        }
        let mut names = self.certificate.iter().flatten().flat_map(Rule::claims);
        if let Some(name) = names.find(|name| !CERTIFICATE_NAMES.contains(name)) {
            return Err(SettingsError::CertificateName(name.to_owned()));
        }
        let mut issuers: Vec<&str> = self.oidc.iter().flatten().map(|i| &*i.issuer).collect();
        issuers.sort_unstable();
        match issuers.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(SettingsError::TwoIssuers(pair[0].to_owned())),
            None => Ok(()),
        }
    }

    /// Who is believed besides those with a token of the file.
    pub fn trust(&self) -> Trust {
        Trust {
            issuers: self.oidc.clone().unwrap_or_default(),
            certificates: self.certificate.clone().unwrap_or_default(),
        }
    }

    /// Where to listen: on loopback, unless something else is said.
    pub fn listen(&self) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)))
    }

    /// Where objects are kept.
    pub fn dir(&self) -> PathBuf {
        self.dir
            .clone()
            .unwrap_or_else(|| PathBuf::from("acetate-cache"))
    }

    /// Namespaces whose records are opaque bytes.
    pub fn opaque(&self) -> Vec<Namespace> {
        self.opaque
            .clone()
            .unwrap_or_else(|| "ccache".parse().into_iter().collect())
    }

    /// Namespaces in which every path is an object.
    pub fn raw(&self) -> Vec<Namespace> {
        self.raw
            .clone()
            .unwrap_or_else(|| "sccache".parse().into_iter().collect())
    }

    /// What one client may take from the others.
    pub fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            connections: self.max_connections.unwrap_or(usual.connections).max(1),
            uploads: self.max_uploads.unwrap_or(usual.uploads).max(1),
            upload_bytes: self.max_upload_size.unwrap_or(usual.upload_bytes),
            rate: self.min_rate.unwrap_or(usual.rate),
            ..usual
        }
    }

    /// Whether uploads of content wait for the disk.
    pub fn durability(&self) -> Durability {
        if self.no_sync == Some(true) {
            Durability::Fast
        } else {
            Durability::Synced
        }
    }
}
