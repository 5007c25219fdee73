//! The secrets of one build: found by id when something wants them, and shown by nothing.

use crate::{SecretSource, SecretSpec};
use acetate_stdx::Redacted;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The most bytes that a secret may have: what other builders take, too.
const MAX_SECRET: u64 = 500 << 10;

/// What `--secret` named. Values that are in files are read at each use, so that nothing is read
/// which no step wants.
#[derive(Debug, Default)]
pub(crate) struct Secrets(BTreeMap<String, Secret>);

#[derive(Debug)]
struct Secret {
    source: SecretSource,
    /// What came out of a pipe, which gives it only once.
    piped: Mutex<Option<Redacted<Vec<u8>>>>,
}

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
                .map(|spec| (spec.id.clone(), Secret::new(spec.source.clone())))
                .collect(),
        )
    }

    /// The ids, sorted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value; none when nobody named it.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Redacted<Vec<u8>>>, SecretError> {
        let Some(secret) = self.0.get(id) else {
            return Ok(None);
        };
        let value = secret.value().map_err(|(path, source)| SecretError::Read {
            id: id.to_owned(),
            path: path.to_owned(),
            source,
        })?;
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

impl Secret {
    fn new(source: SecretSource) -> Self {
        Self {
            source,
            piped: Mutex::default(),
        }
    }

    /// The value, or which file cannot be read. Waits for what is to come out of a pipe.
    fn value(&self) -> Result<Redacted<Vec<u8>>, (&Path, io::Error)> {
        let path = match &self.source {
            SecretSource::Value(value) => return Ok(value.clone()),
            SecretSource::File(path) => path,
        };
        let fail = |error| (path.as_path(), error);
        if std::fs::metadata(path).map_err(fail)?.is_file() {
            return read(path).map_err(fail);
        }
        let mut piped = self.piped.lock().unwrap_or_else(PoisonError::into_inner);
        if piped.is_none() {
            *piped = Some(read(path).map_err(fail)?);
        }
        Ok(piped.clone().unwrap_or_else(|| Vec::new().into()))
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
    use std::io::Write;
    use std::os::fd::AsRawFd;

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
    fn what_comes_out_of_a_pipe_is_kept() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"hunter2").unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let secrets = secrets(SecretSource::File(path.into()));
        for _ in 0..2 {
            assert_eq!(secrets.text("s").unwrap().unwrap().expose(), "hunter2");
        }
        assert!(!format!("{secrets:?}").contains("104, 117"));
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
