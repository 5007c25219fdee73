//! Settings from a file: all that flags can say, with the same names.

use crate::Limits;
use crate::auth::{CERTIFICATE_NAMES, Issuer, Rule, Scope, Trust};
use crate::storage::BucketUrl;
use crate::upstream::UpstreamUrl;
use acetate_cache_api::Namespace;
use acetate_stdx::atomic::Durability;
use serde::{Deserialize, Deserializer};
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
    #[serde(deserialize_with = "one")]
    pub storage: Option<BucketUrl>,
    /// Another server, which is asked for what is missing here.
    #[serde(deserialize_with = "one")]
    pub upstream: Option<UpstreamUrl>,
    /// A file with the token for the upstream.
    pub upstream_token_file: Option<PathBuf>,
    /// A file of tokens.
    pub auth: Option<PathBuf>,
    /// What requests without a token may do.
    #[serde(deserialize_with = "parsed")]
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
    #[serde(deserialize_with = "bytes")]
    pub max_size: Option<u64>,
    /// Namespaces whose records are opaque bytes.
    #[serde(deserialize_with = "parsed")]
    pub opaque: Option<Vec<Namespace>>,
    /// Remove the longest unused first.
    pub lru: Option<bool>,
    /// Answer an upload of content before its bytes are on the disk.
    pub no_sync: Option<bool>,
    /// Connections at a time.
    pub max_connections: Option<usize>,
    /// Uploads of one token at a time.
    pub max_uploads: Option<usize>,
    /// Bytes that the open uploads of one token may be long together.
    #[serde(deserialize_with = "bytes")]
    pub max_upload_size: Option<u64>,
    /// Bytes a second that a body must make.
    #[serde(deserialize_with = "bytes")]
    pub min_rate: Option<u64>,
}

/// The names in a file, sorted.
const NAMES: &[&str] = &[
    "anonymous",
    "auth",
    "certificate",
    "dir",
    "insecure-open",
    "listen",
    "lru",
    "max-connections",
    "max-size",
    "max-upload-size",
    "max-uploads",
    "min-rate",
    "no-sync",
    "oidc",
    "opaque",
    "storage",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
    "upstream",
    "upstream-token-file",
];

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is no TOML, or a value is none of its kind.
    #[error("{0}")]
    Form(String),
    /// There is no such setting.
    #[error("unknown setting `{name}`{}", hint(.near.as_deref()))]
    Unknown {
        /// What the file says.
        name: String,
        /// What it may have meant.
        near: Option<String>,
    },
    /// A certificate without its key, or the other way round.
    #[error("`tls-cert` and `tls-key` need each other")]
    HalfTls,
    /// Certificates of clients that nobody asks for.
    #[error("`certificate` needs `tls-client-ca`, and that needs `tls-cert`")]
    NoClients,
    /// A rule about something that is in no certificate.
    #[error("a rule of `certificate` asks for `{0}`: it can ask for common-name, dns and uri")]
    CertificateName(String),
    /// Two rules about one issuer.
    #[error("the issuer `{0}` is there twice: put its rules together")]
    TwoIssuers(String),
    /// A token for nobody.
    #[error("`upstream-token-file` needs `upstream`")]
    TokenForNobody,
    /// Tokens that nobody is asked for.
    #[error("`insecure-open` asks for no token, and `auth` names some")]
    OpenAndAuth,
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
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

/// The name that was probably meant.
fn near(name: &str) -> Option<String> {
    let plain = name.replace('_', "-");
    let distance = |known: &str| strsim::osa_distance(&plain, known);
    let nearest = NAMES.iter().min_by_key(|known| distance(known))?;
    (distance(nearest) <= nearest.len() / 3).then(|| (*nearest).to_owned())
}

fn parsed<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let texts: Vec<String> = Deserialize::deserialize(deserializer)?;
    let values = texts.iter().map(|text| text.parse().map_err(custom));
    values.collect::<Result<_, _>>().map(Some)
}

fn one<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: String = Deserialize::deserialize(deserializer)?;
    text.parse().map(Some).map_err(custom)
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bytes {
        Number(u64),
        Text(String),
    }
    match Bytes::deserialize(deserializer)? {
        Bytes::Number(number) => Ok(Some(number)),
        Bytes::Text(text) => size(&text).map(Some).map_err(custom),
    }
}

fn custom<E: serde::de::Error>(error: impl std::fmt::Display) -> E {
    E::custom(error)
}

/// Reads `512`, `20M` or `200GiB`: powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => {
            return Err(format!(
                "`{text}` is no size: expected a whole number and K, M, G or T"
            ));
        }
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no size"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_all_that_flags_can_say() {
        let text = r#"
            listen = "0.0.0.0:9090"
            dir = "/srv/cache"           # a comment
            auth = "tokens"
            anonymous = ["public:read", "mirror:read"]
            insecure-open = false
            tls-cert = "c.pem"
            tls-key = "k.pem"
            tls-client-ca = "ca.pem"
            max-size = "200GiB"
            opaque = ["ccache", "team/sccache"]
            lru = true
            no-sync = true
            max-connections = 9
            max-uploads = 8
            max-upload-size = "1G"
            min-rate = 512
            storage = "s3://fleet/cache"
            upstream = "https://region.example"
            upstream-token-file = "up"

            [[certificate]]
            names = { dns = "runner-{n}.ci.example" }
            scope = "org:write"

            [[oidc]]
            issuer = "https://ci.example"
            audience = "https://cache.example"

            [[oidc.rule]]
            claims = { repository = "org/*", ref = "refs/heads/main" }
            scope = "{repository}:write"
        "#;
        let settings = Settings::parse(text).unwrap();
        let named: toml::Table = text.parse().unwrap();
        let named: Vec<&str> = named.keys().map(String::as_str).collect();
        assert_eq!(named, NAMES, "all of them are tried here");
        assert_eq!(settings.trust().issuers[0].audience.len(), 1);
        assert_eq!(settings.trust().certificates.len(), 1);
        assert_eq!(settings.max_size, Some(200 << 30));
        assert_eq!(settings.opaque().len(), 2);
        assert_eq!(settings.anonymous.as_ref().unwrap().len(), 2);
        assert_eq!(settings.limits().upload_bytes, 1 << 30);
        assert!(matches!(settings.durability(), Durability::Fast));
        let flags = Settings {
            lru: Some(false),
            insecure_open: Some(true),
            ..Settings::default()
        };
        let both = flags.or(settings.clone()).unwrap();
        assert_eq!((both.lru, both.auth), (Some(false), None));
        assert_eq!(both.max_size, settings.max_size);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            (
                "max_size = 3",
                "unknown setting `max_size`; did you mean `max-size`?",
            ),
            (
                "lisen = 'x'",
                "unknown setting `lisen`; did you mean `listen`?",
            ),
            ("colour = 'red'", "unknown setting `colour`"),
        ] {
            assert_eq!(Settings::parse(text).unwrap_err().to_string(), error);
        }
        for (text, part) in [
            ("max-size = '3 elephants'", "`3 elephants` is no size"),
            ("anonymous = ['a:look']", "`a:look` is no scope"),
            ("opaque = ['a/../b']", "`..` cannot be part of a namespace"),
            ("storage = 'ftp://fleet'", "must begin with `s3://`"),
            ("upstream = 'region'", "the upstream is no address"),
            ("listen", "line 1"),
            (
                "[[oidc]]\nissuer = 'https://a.example'\naudience = []",
                "has no audience",
            ),
            (
                "[[oidc]]\nissuer = 'https://a.example'\naudience = 'b'",
                "has no rule",
            ),
            (
                "[[oidc]]\nissuer = 'http://a.example'\naudience = 'b'\n\
                 rule = [{ claims = { sub = 'x' }, scope = 'a:read' }]",
                "is no https address",
            ),
            (
                "[[oidc]]\nissuer = 'https://a.example'\naudience = 'b'\n\
                 rule = [{ claims = { sub = 'x' }, scope = '{sub_}:read' }]",
                "the scope uses `{sub_}`",
            ),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let or = |text: &str| {
            let settings = Settings::default().or(Settings::parse(text).unwrap());
            settings.unwrap_err().to_string()
        };
        assert!(or("tls-cert = 'c'").contains("need each other"));
        assert!(or("upstream-token-file = 't'").contains("needs `upstream`"));
        assert!(or("auth = 'a'\ninsecure-open = true").contains("asks for no token"));
        let tls = "tls-cert = 'c'\ntls-key = 'k'\n";
        let rule = "[[certificate]]\nnames = { dns = 'a' }\nscope = 'a:read'\n";
        assert!(or("tls-client-ca = 'a'").contains("needs `tls-cert`"));
        assert!(or(&format!("{tls}{rule}")).contains("needs `tls-client-ca`"));
        let name = rule.replace("dns", "mail");
        let clients = format!("{tls}tls-client-ca = 'a'\n{name}");
        assert!(or(&clients).contains("asks for `mail`"));
        let issuer = "[[oidc]]\nissuer = 'https://a.example'\naudience = 'b'\n\
                      [[oidc.rule]]\nclaims = { sub = 'x' }\nscope = 'a:read'\n";
        assert!(or(&issuer.repeat(2)).contains("is there twice"));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("7", 7),
            ("20M", 20 << 20),
            ("1 KiB", 1024),
            ("2TB", 2 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1.5G", "3 x", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
