//! What a registry says when it says no.

use acetate_net::Response;

use crate::RegistryError;
use crate::auth::hint;
use crate::registries::{Registries, Site};

/// Longest text of a registry's error that is read, in bytes.
const REASON_LIMIT: u64 = 64 << 10;

impl Registries {
    /// The error behind a status that is no success; `what` is a thing, `verb` what was done to it.
    pub(crate) async fn refusal(
        &self,
        site: &Site,
        response: Response,
        verb: &str,
        what: &str,
    ) -> RegistryError {
        let status = response.status();
        let body = match response.fetch(REASON_LIMIT).await {
            Ok(fetched) => fetched.body,
            Err(error) => {
                tracing::debug!(%error, status, "the registry's reason could not be read");
                Vec::new()
            }
        };
        let words = registry_words(&body);
        match status {
            404 => RegistryError::NotFound {
                what: what.to_owned(),
            },
            401 | 403 => match self.credential(site).await {
                Err(error) => error,
                Ok(credential) => RegistryError::Denied {
                    what: site.purpose(),
                    reason: words.unwrap_or_else(|| match (status, &credential) {
                        (401, None) => "the registry wants a login".to_owned(),
                        _ => format!("the registry answered {status}"),
                    }),
                    hint: hint(site.repository.domain(), credential.is_some()),
                },
            },
            status => RegistryError::Refused {
                what: format!("{verb} {what}"),
                status,
                reason: words.map(|words| format!(": {words}")).unwrap_or_default(),
            },
        }
    }
}

/// The first message of `{"errors":[{"code":...,"message":...}]}`, on one line.
fn registry_words(body: &[u8]) -> Option<String> {
    // What servers written in Go say to plain HTTP; on this machine it is what we begin with.
    if body.starts_with(b"Client sent an HTTP request to an HTTPS server") {
        return Some("it speaks TLS: say `http = false` for it in `registries.toml`".to_owned());
    }
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = value.get("errors")?.get(0)?;
    let text = error
        .get("message")
        .or_else(|| error.get("code"))?
        .as_str()?;
    let line: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_words_fit_on_a_line() {
        let body = br#"{"errors":[{"code":"X","message":"no\nway"}]}"#;
        assert_eq!(registry_words(body).as_deref(), Some("noway"));
        assert_eq!(
            registry_words(br#"{"errors":[{"code":"X"}]}"#).as_deref(),
            Some("X")
        );
        assert_eq!(registry_words(b"<html>"), None);
        let tls = registry_words(b"Client sent an HTTP request to an HTTPS server.\n");
        assert!(tls.unwrap().contains("http = false"));
    }
}
