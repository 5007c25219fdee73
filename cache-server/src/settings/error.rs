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
    /// No place for anything else.
    #[error("`raw` needs the name of a namespace: the root has all others below it")]
    AllRaw,
    /// Tokens that nobody is asked for.
    #[error("`insecure-open` asks for no token, and `auth` names some")]
    OpenAndAuth,
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
