//! Where copies of a registry are.

use acetate_net::{Url, is_loopback};
use serde::Deserialize;

/// A registry that has copies of what another one has: `[http[s]://]HOST[:PORT][/PREFIX]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mirror {
    /// `http` or `https`, when it was written.
    pub(crate) scheme: Option<String>,
    /// Host and port.
    pub(crate) host: String,
    /// What stands in front of the names of repositories there; empty, or ends with `/`.
    pub(crate) prefix: String,
}

impl TryFrom<String> for Mirror {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Some("https".to_owned()), rest),
            Some(("http", rest)) => (Some("http".to_owned()), rest),
            Some((other, _)) => return Err(format!("`{other}` is no scheme of a mirror")),
            None => (None, text.as_str()),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let url = Url::parse(&format!("https://{host}/")).ok();
        let is_host = url.is_some_and(|url| {
            url.path() == "/" && url.username().is_empty() && url.password().is_none()
        });
        if !is_host || host.contains(['?', '#', '@']) {
            // A user or password in it would be shown, so the text is not.
            return Err("a mirror is written as HOST, HOST:PORT or HOST/PREFIX".to_owned());
        }
        let path = path.trim_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if !path.chars().all(is_plain) || path.split('/').any(|part| part == "..") {
            return Err(format!("`{path}` is no name of a repository"));
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        Ok(Self {
            scheme,
            host: host.to_owned(),
            prefix,
        })
    }
}

impl Mirror {
    /// Whether plain HTTP was asked for by name, or is spoken on this machine anyway.
    pub(crate) fn is_plain(&self) -> bool {
        self.scheme.as_deref() == Some("http") && !is_loopback(super::name_of(&self.host))
    }
}
