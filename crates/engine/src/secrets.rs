//! The secrets of one build: found by id when something wants them, and shown by nothing.

use crate::{SecretSource, SecretSpec};
use acetate_stdx::Redacted;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes that a secret may have: what other builders take, too.
const MAX_SECRET: u64 = 500 << 10;

/// What `--secret` named. Values that are in files are read at each use, so that nothing is read
/// which no step wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(BTreeMap<String, SecretSource>);

/// Why a secret that was named cannot be used. No message holds any of its bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// A step needs one that nobody named (S70).
    #[error("secret {0}: not found")]
    NotFound(String),
    /// Its file cannot be read.
    #[error("secret {id}: failed to read `{}`", path.display())]
    Read {
        /// Which.
        id: String,
        /// Its file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It has too many bytes.
    #[error("secret {id}: it is larger than 500 KiB")]
    TooLarge {
        /// Which.
        id: String,
    },
    /// It is to become a variable, and holds what none can.
    #[error("secret {id}: it cannot be a variable, for it is not UTF-8 or holds a NUL byte")]
    NotText {
        /// Which.
        id: String,
    },
}

impl Secrets {
    /// Takes the flags in their order; of two with one id the last counts.
    pub(crate) fn new(specs: &[SecretSpec]) -> Self {
        let specs = specs.iter();
        Self(
            specs
                .map(|spec| (spec.id.clone(), spec.source.clone()))
                .collect(),
        )
    }

    /// The ids, sorted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value; none when nobody named it.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Redacted<Vec<u8>>>, SecretError> {
        let value = match self.0.get(id) {
            None => return Ok(None),
            Some(SecretSource::Value(value)) => value.clone(),
            Some(SecretSource::File(path)) => read(path).map_err(|source| SecretError::Read {
                id: id.to_owned(),
                path: path.clone(),
                source,
            })?,
        };
        if value.expose().len() as u64 > MAX_SECRET {
            return Err(SecretError::TooLarge { id: id.to_owned() });
        }
        Ok(Some(value))
    }

    /// The value as a text, for a variable or a header.
    pub(crate) fn text(&self, id: &str) -> Result<Option<Redacted<String>>, SecretError> {
        let Some(value) = self.get(id)? else {
            return Ok(None);
        };
        match String::from_utf8(value.into_inner()) {
            Ok(text) if !text.contains('\0') => Ok(Some(Redacted::new(text))),
            // The error of the conversion holds the bytes, so it is not kept.
            _ => Err(SecretError::NotText { id: id.to_owned() }),
        }
    }
}

/// Reads a little more than is allowed at most, so that too much is noticed without being read.
fn read(path: &Path) -> io::Result<Redacted<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_SECRET + 1)
        .read_to_end(&mut bytes)?;
    Ok(Redacted::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(source: SecretSource) -> Secrets {
        let id = "s".to_owned();
        Secrets::new(&[SecretSpec { id, source }])
    }

    #[test]
    fn files_are_read_when_they_are_used() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("secret");
        let secrets = secrets(SecretSource::File(path.clone()));
        let error = secrets.get("s").unwrap_err();
        let expected = format!("secret s: failed to read `{}`", path.display());
        assert_eq!(error.to_string(), expected);
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(secrets.get("s").unwrap().unwrap().expose(), b"hunter2\n");
        assert_eq!(secrets.text("s").unwrap().unwrap().expose(), "hunter2\n");
        assert_eq!(secrets.get("other").unwrap(), None);
        assert_eq!(secrets.ids().collect::<Vec<_>>(), ["s"]);
    }

    #[test]
    fn a_secret_has_at_most_500_kib() {
        let limit = usize::try_from(MAX_SECRET).unwrap();
        let value = |n| secrets(SecretSource::Value(vec![b'x'; n].into())).get("s");
        assert_eq!(value(limit).unwrap().unwrap().expose().len(), limit);
        let error = value(limit + 1).unwrap_err().to_string();
        assert_eq!(error, "secret s: it is larger than 500 KiB");
        // A file without an end is not read to its end.
        let endless = secrets(SecretSource::File("/dev/zero".into()));
        assert!(matches!(
            endless.get("s"),
            Err(SecretError::TooLarge { .. })
        ));
    }

    #[test]
    fn nothing_shows_a_value() {
        let secrets = secrets(SecretSource::Value(b"hunter2\xff".to_vec().into()));
        let error = secrets.text("s").unwrap_err();
        let shown = format!("{secrets:?} {error} {error:?} {:?}", secrets.get("s"));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
