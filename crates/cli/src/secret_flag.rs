//! Reads `--secret`.

use crate::csv;
use crate::environment::Environment;
use acetate_engine::{SecretSource, SecretSpec};
use acetate_frontend::did_you_mean;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const KEYS: &[&str] = &["id", "src", "source", "env", "type"];

/// Reads all of them; the last of an id counts.
pub(crate) fn parse_all(given: &[String], env: &Environment) -> Result<Vec<SecretSpec>> {
    let mut found = BTreeMap::new();
    for text in given {
        let spec = parse(text, env).map_err(|error| anyhow!("--secret {text}: {error}"))?;
        found.insert(spec.id.clone(), spec);
    }
    Ok(found.into_values().collect())
}

fn parse(text: &str, env: &Environment) -> Result<SecretSpec> {
    let parts = Parts::read(text)?;
    let id = match parts.id.as_deref() {
        None | Some("") => bail!("the id is missing, expected id=NAME[,src=FILE|,env=VARIABLE]"),
        Some(id) => id.to_owned(),
    };
    let source = parts.source(&id, env)?;
    Ok(SecretSpec { id, source })
}

/// How a secret says where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Env,
}

#[derive(Default)]
struct Parts {
    id: Option<String>,
    src: Option<String>,
    env: Option<String>,
    kind: Option<Kind>,
}

impl Parts {
    fn read(text: &str) -> Result<Self> {
        let mut out = Self::default();
        for attribute in csv::attributes(text)? {
            if !KEYS.contains(&attribute.key.as_str()) {
                return Err(unknown(&attribute.key));
            }
            let value = attribute.value()?.to_owned();
            match attribute.key.as_str() {
                "id" => out.id = Some(value),
                "env" => out.env = Some(value),
                "type" => out.kind = Some(kind(&value)?),
                _ => out.src = Some(value),
            }
        }
        Ok(out)
    }

    /// Without any word of where it is, a variable with the name of the id goes before a file.
    fn source(self, id: &str, env: &Environment) -> Result<SecretSource> {
        let src = self.src.filter(|src| !src.is_empty());
        let name = self.env.filter(|name| !name.is_empty());
        match (self.kind, src, name) {
            (Some(Kind::File), _, Some(_)) => bail!("type=file goes with src=FILE, not with env"),
            (_, Some(_), Some(_)) => bail!("src and env are both given, expected one of them"),
            (Some(Kind::Env), Some(name), None) | (_, None, Some(name)) => {
                Ok(variable(&name, env).unwrap_or_else(empty))
            }
            (Some(Kind::Env), None, None) => Ok(variable(id, env).unwrap_or_else(empty)),
            (Some(Kind::File) | None, Some(path), None) => file(&path),
            (Some(Kind::File), None, None) => file(id),
            (None, None, None) => match variable(id, env) {
                Some(source) => Ok(source),
                None if Path::new(id).exists() => file(id),
                None => bail!(
                    "no variable of the environment and no file is named `{id}`, \
                     expected src=FILE or env=VARIABLE"
                ),
            },
        }
    }
}

fn kind(value: &str) -> Result<Kind> {
    match value {
        "file" => Ok(Kind::File),
        "env" => Ok(Kind::Env),
        other => bail!("unknown type `{other}`, expected file or env"),
    }
}

fn unknown(key: &str) -> anyhow::Error {
    match did_you_mean(key, KEYS.iter().copied()) {
        Some(meant) => anyhow!("unknown key `{key}` (did you mean {meant}?)"),
        None => anyhow!("unknown key `{key}`, expected id, src, env or type"),
    }
}

fn variable(name: &str, env: &Environment) -> Option<SecretSource> {
    let value = env.get(name)?;
    Some(SecretSource::Value(value.into_bytes().into()))
}

/// A variable that is named and not set is an empty secret, as with other builders.
fn empty() -> SecretSource {
    SecretSource::Value(Vec::new().into())
}

/// The file is read when a step wants it, but a slip is told now.
fn file(path: &str) -> Result<SecretSource> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => bail!("`{path}` is a directory, expected a file"),
        Ok(_) => Ok(SecretSource::File(PathBuf::from(path))),
        Err(error) => bail!("`{path}` cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a secret is, as text.
    fn shown(text: &str, env: &Environment) -> Result<String> {
        let found = parse_all(&[text.to_owned()], env)?;
        let [spec] = found.as_slice() else {
            panic!("one secret")
        };
        let source = match &spec.source {
            SecretSource::File(path) => format!("file {}", path.display()),
            SecretSource::Value(value) => {
                format!("value {}", String::from_utf8_lossy(value.expose()))
            }
        };
        Ok(format!("{} {source}", spec.id))
    }

    #[test]
    fn every_form_finds_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a b").display().to_string();
        std::fs::write(&file, "x").unwrap();
        let env = Environment::of(&[("token", "t"), ("OTHER", "o"), (&file, "shadow")]);
        let is_file = format!("s file {file}");
        for (text, expected) in [
            ("id=token", "token value t"),
            ("id=s,env=OTHER", "s value o"),
            ("env=OTHER,id=s", "s value o"),
            ("ID=s,Env=OTHER", "s value o"),
            ("id=s,type=env,env=OTHER", "s value o"),
            ("id=s,type=env,src=OTHER", "s value o"),
            ("id=token,type=env", "token value t"),
            ("id=s,env=MISSING", "s value "),
            ("id=s,type=env", "s value "),
            (&format!("id=s,src={file}"), &is_file),
            (&format!("id=s,source={file}"), &is_file),
            (&format!("type=file,id=s,src={file}"), &is_file),
            (
                &format!("id=token,src={file}"),
                &format!("token file {file}"),
            ),
            (&format!("id={file}"), &format!("{file} value shadow")),
            (
                &format!("id={file},type=file"),
                &format!("{file} file {file}"),
            ),
            (&format!("id=s,\"src={file}\""), &is_file),
            (&format!("id=s,src=,source={file}"), &is_file),
            ("id=first,id=s,env=MISSING,env=OTHER", "s value o"),
        ] {
            assert_eq!(shown(text, &env).unwrap(), expected, "{text}");
        }
        // Nothing in the environment: the id is the name of a file.
        let none = Environment::of(&[]);
        assert_eq!(
            shown(&format!("id={file}"), &none).unwrap(),
            format!("{file} file {file}")
        );
    }

    #[test]
    fn of_two_with_one_id_the_last_counts() {
        let env = Environment::of(&[("A", "a"), ("B", "b")]);
        let given = ["id=x,env=A", "id=y,env=A", "id=x,env=B"].map(str::to_owned);
        let found = parse_all(&given, &env).unwrap();
        let values: Vec<_> = found
            .iter()
            .map(|spec| match &spec.source {
                SecretSource::Value(value) => (spec.id.as_str(), value.expose().as_slice()),
                SecretSource::File(_) => panic!("a value"),
            })
            .collect();
        assert_eq!(values, [("x", &b"b"[..]), ("y", b"a")]);
    }

    #[test]
    fn what_is_no_secret_says_why() {
        let env = Environment::of(&[("OTHER", "o")]);
        for (text, words) in [
            ("", "unknown key ``, expected id, src, env or type"),
            (
                "mysecret",
                "unknown key `mysecret`, expected id, src, env or type",
            ),
            ("id", "`id` has no value, expected `id=VALUE`"),
            ("id=", "the id is missing, expected id=NAME"),
            ("src=/etc/hostname", "the id is missing"),
            ("id=s,scr=x", "unknown key `scr` (did you mean src?)"),
            ("id=s,required=true", "unknown key `required`"),
            ("id=s,src", "`src` has no value"),
            ("id=s,type=dir", "unknown type `dir`, expected file or env"),
            ("id=s,type=FILE", "unknown type `FILE`"),
            ("id=s,src=x,env=OTHER", "src and env are both given"),
            ("id=s,type=file,env=OTHER", "type=file goes with src=FILE"),
            (
                "id=s,src=/no/such/file",
                "`/no/such/file` cannot be read: No such file",
            ),
            ("id=s,src=/", "`/` is a directory, expected a file"),
            ("id=s,type=file", "`s` cannot be read"),
            (
                "id=s",
                "no variable of the environment and no file is named `s`",
            ),
            ("\"id=s", "never closed"),
        ] {
            let error = format!("{:#}", shown(text, &env).unwrap_err());
            assert!(error.starts_with(&format!("--secret {text}: ")), "{error}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_value_is_in_no_message() {
        let env = Environment::of(&[("token", "hunter2")]);
        let found = parse_all(&["id=token".to_owned()], &env).unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
