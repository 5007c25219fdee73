//! Reads the context and `--file`.

use acetate_engine::{ContextInput, DockerfileInput};
use acetate_frontend::RemoteUrl;
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::path::Path;

/// Reads the context: what is a directory is one, whatever its name looks like.
pub(crate) fn context(path: &Path) -> Result<ContextInput> {
    if path == Path::new("-") {
        return Ok(ContextInput::Stdin);
    }
    let text = path.to_string_lossy();
    if path.is_dir() || !is_remote(&text)? {
        return Ok(ContextInput::Directory(path.to_owned()));
    }
    Ok(ContextInput::Url(text.into_owned()))
}

fn is_remote(text: &str) -> Result<bool> {
    // The address is not in the message: it may hold a password.
    let found = RemoteUrl::parse_context(text).context("context")?;
    Ok(found.is_some())
}

/// Reads `--file`. Standard input is read here, so that it cannot be wanted twice.
pub(crate) fn dockerfile(path: Option<&Path>, context: &ContextInput) -> Result<DockerfileInput> {
    let Some(path) = path else {
        return Ok(DockerfileInput::InContext);
    };
    if path == Path::new("-") {
        if *context == ContextInput::Stdin {
            bail!("--file -: standard input is the context already, expected a path in it");
        }
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("failed to read the Dockerfile from standard input")?;
        return Ok(DockerfileInput::Text(text));
    }
    let text = path.to_string_lossy();
    if text.is_empty() {
        bail!("--file is empty, expected a path, a URL or -");
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(DockerfileInput::Url(text.into_owned()));
    }
    if let Some((scheme, _)) = text.split_once("://")
        && !path.exists()
    {
        bail!("--file {text}: `{scheme}` is not supported, expected a path, http:// or https://");
    }
    Ok(DockerfileInput::Path(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let directory = |text: &str| ContextInput::Directory(text.into());
        let url = |text: &str| ContextInput::Url(text.to_owned());
        let real = dir.path().to_str().unwrap();
        for (text, expected) in [
            ("-", ContextInput::Stdin),
            (".", directory(".")),
            ("./-", directory("./-")),
            (real, directory(real)),
            ("no/such/dir", directory("no/such/dir")),
            (
                "https://example.com/x.git",
                url("https://example.com/x.git"),
            ),
            (
                "https://example.com/x.git#v1:sub",
                url("https://example.com/x.git#v1:sub"),
            ),
            (
                "http://example.com/x.tar.gz",
                url("http://example.com/x.tar.gz"),
            ),
            ("git@example.com:a/b", url("git@example.com:a/b")),
            (
                "ssh://git@example.com/a/b",
                url("ssh://git@example.com/a/b"),
            ),
            ("git://example.com/a", url("git://example.com/a")),
            ("github.com/a/b", url("github.com/a/b")),
            ("example.com/a/b", directory("example.com/a/b")),
        ] {
            assert_eq!(context(Path::new(text)).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_repository_that_contradicts_itself_is_refused() {
        let text = "https://user:pass@example.com/x.git?ref=a#b";
        let error = format!("{:#}", context(Path::new(text)).unwrap_err());
        assert!(error.starts_with("context: ref conflicts: "), "{error}");
        assert!(!error.contains("pass"), "{error}");
    }

    #[test]
    fn dockerfiles_are_told_apart() {
        let here = ContextInput::Directory(".".into());
        let read = |text: &str| dockerfile(Some(Path::new(text)), &here);
        assert_eq!(dockerfile(None, &here).unwrap(), DockerfileInput::InContext);
        for text in ["Dockerfile", "a/b", "/a", "./-"] {
            assert_eq!(read(text).unwrap(), DockerfileInput::Path(text.into()));
        }
        for text in ["http://example.com/D", "https://example.com/D?x=y"] {
            assert_eq!(read(text).unwrap(), DockerfileInput::Url(text.to_owned()));
        }
        for (text, words) in [
            ("", "--file is empty, expected a path, a URL or -"),
            (
                "ftp://example.com/D",
                "--file ftp://example.com/D: `ftp` is not supported",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn standard_input_is_one_thing_only() {
        let error = dockerfile(Some(Path::new("-")), &ContextInput::Stdin).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--file -: standard input is the context already, expected a path in it"
        );
    }
}
