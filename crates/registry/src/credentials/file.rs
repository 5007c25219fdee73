//! Docker's `config.json` and podman's `auth.json`.

use std::collections::BTreeMap;
use std::path::Path;

use acetate_stdx::Redacted;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::Credential;
use super::key::{fit, server};
use crate::Repository;
use crate::settings::{SettingsError, read_file};

/// Padding may be missing: several tools write it so.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One entry; every field is as the user's login left it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// What such a file says of credentials; everything else in it is passed over.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Option<Entry>>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

/// Where a credential comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It stands in the file.
    Inline(Credential),
    /// `docker-credential-PROGRAM` knows it under the name of the server.
    Helper { program: String, server: String },
}

impl AuthFile {
    /// Reads a file that need not be there.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, SettingsError> {
        let Some(bytes) = read_file(path)? else {
            return Ok(None);
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Some(Self::default()));
        }
        let mut file: Self =
            serde_json::from_slice(&bytes).map_err(|error| SettingsError::Form {
                path: path.to_owned(),
                // The error's own text could quote a password.
                reason: format!(
                    "line {} column {} is not as in a file of docker's",
                    error.line(),
                    error.column()
                ),
            })?;
        file.check(path)?;
        Ok(Some(file))
    }

    /// Decodes every `auth`, so that a broken entry is an error and no silent anonymity.
    fn check(&mut self, path: &Path) -> Result<(), SettingsError> {
        for (key, entry) in &mut self.auths {
            let Some(entry) = entry else { continue };
            entry.decode().map_err(|reason| SettingsError::Form {
                path: path.to_owned(),
                reason: format!("the `auth` of `{key}` {reason}; log in to it again"),
            })?;
        }
        Ok(())
    }

    /// Where to look for the credential of a repository, in this order.
    pub(super) fn sources(self, repository: &Repository) -> Vec<Source> {
        let mut sources = Vec::new();
        let of_host = best(self.cred_helpers.iter(), repository);
        let helper = of_host
            .filter(|program| !program.is_empty())
            .unwrap_or(&self.creds_store);
        if !helper.is_empty() {
            sources.push(Source::Helper {
                program: helper.clone(),
                server: server(repository).to_owned(),
            });
        }
        let entry = best(self.auths.iter(), repository);
        let inline = entry.and_then(Option::as_ref).and_then(Entry::credential);
        sources.extend(inline.map(Source::Inline));
        sources
    }
}

impl Entry {
    fn decode(&mut self) -> Result<(), &'static str> {
        if self.auth.is_empty() {
            return Ok(());
        }
        let bytes = LENIENT
            .decode(self.auth.trim())
            .map_err(|_| "is no base64")?;
        let text = String::from_utf8(bytes).map_err(|_| "is no text")?;
        let (user, password) = text.split_once(':').ok_or("has no `:` in it")?;
        user.clone_into(&mut self.username);
        // Docker's own reader drops zero bytes at the end, which old writers left.
        password
            .trim_end_matches('\0')
            .clone_into(&mut self.password);
        Ok(())
    }

    fn credential(&self) -> Option<Credential> {
        if !self.registrytoken.is_empty() {
            return Some(Credential::Bearer(self.registrytoken.clone().into()));
        }
        if !self.identitytoken.is_empty() {
            return Some(Credential::Identity(self.identitytoken.clone().into()));
        }
        // An entry without anything says that a helper knows more.
        if self.username.is_empty() || self.password.is_empty() {
            return None;
        }
        Some(of_pair(
            &self.username,
            Redacted::new(self.password.clone()),
        ))
    }
}

/// A name and what belongs to it; the name `<token>` says that this is an identity token.
pub(super) fn of_pair(user: &str, secret: Redacted<String>) -> Credential {
    match user {
        "<token>" => Credential::Identity(secret),
        user => Credential::Password {
            user: user.to_owned(),
            password: secret,
        },
    }
}

/// The value whose key fits best.
fn best<'a, V: 'a>(
    entries: impl Iterator<Item = (&'a String, &'a V)>,
    repository: &Repository,
) -> Option<&'a V> {
    let fitting = entries.filter_map(|(key, value)| Some((fit(key, repository)?, value)));
    // Of several spellings the first in order wins, on every machine.
    let best = fitting.fold(None::<(super::key::Fit, &V)>, |best, next| match best {
        Some(best) if best.0 >= next.0 => Some(best),
        _ => Some(next),
    });
    best.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn sources(json: &str, image: &str) -> Vec<Source> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        let file = AuthFile::read(&path).unwrap().unwrap();
        file.sources(&Repository::from(&image.parse().unwrap()))
    }

    fn password(user: &str, password: &str) -> Source {
        Source::Inline(of_pair(user, Redacted::new(password.to_owned())))
    }

    fn helper(program: &str, server: &str) -> Source {
        let (program, server) = (program.to_owned(), server.to_owned());
        Source::Helper { program, server }
    }

    #[test]
    fn all_kinds_of_entries() {
        let auth = STANDARD.encode("user:pass:word");
        let bare = auth.trim_end_matches('=');
        for (entry, expected) in [
            (
                format!(r#"{{"auth":"{auth}"}}"#),
                password("user", "pass:word"),
            ),
            (
                format!(r#"{{"auth":"{bare}","email":"x"}}"#),
                password("user", "pass:word"),
            ),
            (
                r#"{"username":"u","password":"p"}"#.into(),
                password("u", "p"),
            ),
            (
                format!(r#"{{"auth":"{auth}","identitytoken":"i"}}"#),
                Source::Inline(Credential::Identity("i".to_owned().into())),
            ),
            (
                r#"{"registrytoken":"r"}"#.into(),
                Source::Inline(Credential::Bearer("r".to_owned().into())),
            ),
            (
                r#"{"username":"<token>","password":"i"}"#.into(),
                Source::Inline(Credential::Identity("i".to_owned().into())),
            ),
        ] {
            let json = format!(r#"{{"auths":{{"r.example":{entry}}},"HttpHeaders":{{}}}}"#);
            assert_eq!(sources(&json, "r.example/a"), [expected], "{json}");
            assert_eq!(sources(&json, "s.example/a"), []);
        }
        assert_eq!(
            sources(r#"{"auths":{"r.example":{},"s":null}}"#, "r.example/a"),
            []
        );
        assert_eq!(sources(" ", "r.example/a"), []);
    }

    #[test]
    fn the_nearest_key_wins() {
        let entry = |user: &str| format!(r#"{{"username":"{user}","password":"p"}}"#);
        let json = format!(
            r#"{{"auths":{{"https://r.example/v1/":{},"r.example/org":{},"r.example":{},"r.example/org/deep":{}}}}}"#,
            entry("spelt"),
            entry("org"),
            entry("host"),
            entry("deep")
        );
        for (image, user) in [
            ("r.example/a", "host"),
            ("r.example/org/a", "org"),
            ("r.example/org/deep", "deep"),
            ("r.example/organ", "host"),
        ] {
            assert_eq!(sources(&json, image), [password(user, "p")], "{image}");
        }
    }

    #[test]
    fn helpers_go_before_entries() {
        let json = r#"{
            "auths": {"r.example": {"username":"u","password":"p"}, "https://index.docker.io/v1/": {}},
            "credHelpers": {"r.example": "of-host", "empty.example": ""},
            "credsStore": "of-all"
        }"#;
        assert_eq!(
            sources(json, "r.example/a"),
            [helper("of-host", "r.example"), password("u", "p")]
        );
        assert_eq!(
            sources(json, "debian"),
            [helper("of-all", "https://index.docker.io/v1/")]
        );
        assert_eq!(
            sources(json, "empty.example/a"),
            [helper("of-all", "empty.example")]
        );
    }

    #[test]
    fn broken_files_are_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        for (json, words) in [
            (r#"{"auths":{"r":{"password":secret}}}"#, "line 1"),
            (r#"{"auths":{"r":{"auth":"se!cret"}}}"#, "no base64"),
            (r#"{"auths":{"r":{"auth":"c2VjcmV0"}}}"#, "no `:`"),
            (r#"{"auths":{"r":{"password":["secret"]}}}"#, "line 1"),
        ] {
            std::fs::write(&path, json).unwrap();
            let error = AuthFile::read(&path).err().unwrap().to_string();
            assert!(
                error.contains(words) && error.contains("config.json"),
                "{error}"
            );
            assert!(
                !error.contains("secret") && !error.contains("c2Vj"),
                "{error}"
            );
        }
        assert!(AuthFile::read(&dir.path().join("none")).unwrap().is_none());
    }
}
