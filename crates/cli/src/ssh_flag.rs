//! Reads `--ssh`.

use crate::csv;
use crate::environment::Environment;
use acetate_engine::SshSpec;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// Reads all of them; the last of an id counts.
pub(crate) fn parse_all(given: &[String], env: &Environment) -> Result<Vec<SshSpec>> {
    let mut found = BTreeMap::new();
    for text in given {
        let spec = parse(text, env).map_err(|error| anyhow!("--ssh {text}: {error}"))?;
        found.insert(spec.id.clone(), spec);
    }
    Ok(found.into_values().collect())
}

fn parse(text: &str, env: &Environment) -> Result<SshSpec> {
    let (id, rest) = match text.split_once('=') {
        Some((id, rest)) => (id, Some(rest)),
        None => (text, None),
    };
    if id.is_empty() || id.contains(',') {
        bail!("expected default, or ID=SOCKET, or ID=KEY[,KEY]");
    }
    let (mut paths, raw) = rest.map_or(Ok((Vec::new(), false)), paths)?;
    if paths.is_empty() {
        paths.push(agent(id, env)?);
    }
    check(&paths, raw)?;
    Ok(SshSpec {
        id: id.to_owned(),
        paths,
        raw,
    })
}

/// The paths, and whether the socket is to be handed on as it is.
fn paths(text: &str) -> Result<(Vec<PathBuf>, bool)> {
    let mut paths = Vec::new();
    let mut raw = false;
    for field in csv::fields(text)? {
        match field.strip_prefix("raw=") {
            Some("true" | "1") => raw = true,
            Some("false" | "0") => raw = false,
            Some(other) => bail!("raw is true or false, not `{other}`"),
            None if field.is_empty() => {}
            None => paths.push(PathBuf::from(field)),
        }
    }
    Ok((paths, raw))
}

/// The agent of the user, for an id that names no path.
fn agent(id: &str, env: &Environment) -> Result<PathBuf> {
    match &env.ssh_auth_sock {
        Some(path) => Ok(path.clone()),
        None => {
            bail!("SSH_AUTH_SOCK is not set; start an agent, or name a socket or keys: {id}=PATH")
        }
    }
}

/// One socket, or any number of keys. What is in them is looked at when a step wants it.
fn check(paths: &[PathBuf], raw: bool) -> Result<()> {
    let mut n_sockets = 0;
    for path in paths {
        let shown = path.display();
        match std::fs::metadata(path) {
            Ok(found) if found.file_type().is_socket() => n_sockets += 1,
            Ok(found) if found.is_dir() => {
                bail!("`{shown}` is a directory, expected a socket or a private key")
            }
            Ok(_) if raw => bail!("raw=true needs a socket, and `{shown}` is none"),
            Ok(_) => {}
            Err(error) => bail!("`{shown}` cannot be used: {error}"),
        }
    }
    match n_sockets {
        0 => Ok(()),
        1 if paths.len() == 1 => Ok(()),
        1 => bail!("a socket and keys are both given, expected one socket or keys"),
        _ => bail!("several sockets are given, expected one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    struct Ground {
        dir: tempfile::TempDir,
        _sockets: [UnixListener; 2],
    }

    impl Ground {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let bind = |name| UnixListener::bind(dir.path().join(name)).unwrap();
            let sockets = [bind("sock"), bind("sock2")];
            std::fs::write(dir.path().join("k1"), "").unwrap();
            std::fs::write(dir.path().join("k2"), "").unwrap();
            Self {
                dir,
                _sockets: sockets,
            }
        }

        /// Reads with `@` for the directory, and shows what came out in the same way.
        fn read(&self, text: &str, sock: &str) -> Result<String, String> {
            let dir = self.dir.path().display().to_string();
            let sock = sock.replace('@', &dir);
            let env = match sock.as_str() {
                "" => Environment::of(&[]),
                sock => Environment::of(&[("SSH_AUTH_SOCK", sock)]),
            };
            let found = parse_all(&[text.replace('@', &dir)], &env)
                .map_err(|error| format!("{error:#}").replace(&dir, "@"))?;
            let [spec] = found.as_slice() else {
                panic!("one agent")
            };
            let raw = if spec.raw { " raw" } else { "" };
            Ok(format!("{} {:?}{raw}", spec.id, spec.paths).replace(&dir, "@"))
        }
    }

    #[test]
    fn every_form_finds_its_paths() {
        let ground = Ground::new();
        for (text, sock, expected) in [
            ("default", "@/sock", r#"default ["@/sock"]"#),
            ("default=", "@/sock", r#"default ["@/sock"]"#),
            ("other", "@/sock", r#"other ["@/sock"]"#),
            ("default=@/sock2", "@/sock", r#"default ["@/sock2"]"#),
            ("git=@/sock", "", r#"git ["@/sock"]"#),
            ("git=@/k1", "", r#"git ["@/k1"]"#),
            ("git=@/k1,@/k2", "", r#"git ["@/k1", "@/k2"]"#),
            ("git=@/k1,raw=false", "", r#"git ["@/k1"]"#),
            ("git=@/sock,raw=true", "", r#"git ["@/sock"] raw"#),
            ("git=raw=true,@/sock", "", r#"git ["@/sock"] raw"#),
            ("default=raw=true", "@/sock", r#"default ["@/sock"] raw"#),
        ] {
            assert_eq!(ground.read(text, sock).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_agent_says_why() {
        let ground = Ground::new();
        for (text, sock, words) in [
            ("", "", "expected default, or ID=SOCKET, or ID=KEY[,KEY]"),
            ("=@/sock", "", "expected default, or ID=SOCKET"),
            ("a,b", "", "expected default, or ID=SOCKET"),
            ("default", "", "SSH_AUTH_SOCK is not set; start an agent"),
            ("git", "", "or name a socket or keys: git=PATH"),
            ("default", "@/gone", "`@/gone` cannot be used: No such file"),
            ("git=@/gone", "", "`@/gone` cannot be used: No such file"),
            ("git=@/k1,@/gone", "", "`@/gone` cannot be used"),
            (
                "git=@",
                "",
                "`@` is a directory, expected a socket or a private key",
            ),
            ("git=@/sock,@/k1", "", "a socket and keys are both given"),
            ("git=@/sock,@/sock2", "", "several sockets are given"),
            (
                "git=@/k1,raw=true",
                "",
                "raw=true needs a socket, and `@/k1` is none",
            ),
            ("git=@/sock,raw=yes", "", "raw is true or false, not `yes`"),
            ("git=\"@/sock", "", "never closed"),
        ] {
            let error = ground.read(text, sock).unwrap_err();
            assert!(error.starts_with(&format!("--ssh {text}: ")), "{error}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn of_two_with_one_id_the_last_counts() {
        let ground = Ground::new();
        let path = |name: &str| ground.dir.path().join(name);
        let given = [("a", "k1"), ("b", "k1"), ("a", "k2")]
            .map(|(id, name)| format!("{id}={}", path(name).display()));
        let found = parse_all(&given, &Environment::of(&[])).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|spec| (spec.id, spec.paths))
            .collect();
        let expected =
            [("a", "k2"), ("b", "k1")].map(|(id, name)| (id.to_owned(), vec![path(name)]));
        assert_eq!(found, expected);
    }
}
