//! Where the Dockerfile is.

use super::local::IgnoreFile;
use super::remote::Fetched;
use super::{MAX_DOCKERFILE, input};
use crate::progress::Progress;
use crate::{BuildError, DockerfileInput};
use acetate_frontend::SourceFile;
use acetate_remote::{Remotes, redacted};
use std::io;
use std::path::{Path, PathBuf};

/// Reads the Dockerfile of a local context, and the ignore file that stands beside it under its
/// name.
pub(super) fn local(
    context: &Path,
    given: &DockerfileInput,
) -> Result<Option<(SourceFile, Option<IgnoreFile>)>, BuildError> {
    let path = match given {
        DockerfileInput::Text(text) => {
            return Ok(Some((SourceFile::new("Dockerfile", text.clone()), None)));
        }
        DockerfileInput::Path(path) => path.clone(),
        DockerfileInput::InContext => default_path(context),
        DockerfileInput::Url(_) => return Ok(None),
    };
    let shown = path.strip_prefix(context).unwrap_or(&path);
    let source = read(&path, shown)?;
    let mut beside = path.into_os_string();
    beside.push(".dockerignore");
    let ignore = IgnoreFile::read(PathBuf::from(beside))?;
    Ok(Some((source, ignore)))
}

fn read(path: &Path, shown: &Path) -> Result<SourceFile, BuildError> {
    let fail = |source| input("read the Dockerfile", path, source);
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    if metadata.len() > MAX_DOCKERFILE {
        return Err(fail(io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = std::fs::read(path).map_err(fail)?;
    Ok(SourceFile::from_bytes(shown.display().to_string(), &bytes))
}

/// `Dockerfile`, or `dockerfile` where only that exists.
fn default_path(context: &Path) -> PathBuf {
    let usual = context.join("Dockerfile");
    let lower = context.join("dockerfile");
    if !usual.exists() && lower.exists() {
        lower
    } else {
        usual
    }
}

/// Fetches a Dockerfile.
pub(super) async fn fetch(
    remotes: &Remotes,
    url: &str,
    progress: &Progress,
) -> Result<SourceFile, BuildError> {
    let shown = redacted(url);
    let step = progress.internal(&format!("[internal] load remote Dockerfile {shown}"));
    let read = remotes.read(url, MAX_DOCKERFILE).await;
    let read = read.map_err(BuildError::from);
    step.end(&read);
    Ok(SourceFile::from_bytes(shown, &read?))
}

/// Reads the Dockerfile of a context that is no directory. An absolute path is one of this machine.
pub(super) async fn remote(
    remotes: &Remotes,
    fetched: &Fetched,
    given: &DockerfileInput,
    progress: &Progress,
) -> Result<SourceFile, BuildError> {
    let names: Vec<String> = match given {
        DockerfileInput::Text(text) => return Ok(SourceFile::new("Dockerfile", text.clone())),
        DockerfileInput::Url(url) => return fetch(remotes, url, progress).await,
        DockerfileInput::Path(path) if path.is_absolute() => return read(path, path),
        DockerfileInput::Path(path) => vec![path.to_string_lossy().into_owned()],
        DockerfileInput::InContext => vec!["Dockerfile".to_owned(), "dockerfile".to_owned()],
    };
    for name in &names {
        let clean = acetate_files::resolve::clean(Path::new(name));
        let found = fetched.read(remotes, &clean, MAX_DOCKERFILE).await?;
        if let Some(bytes) = found {
            return Ok(SourceFile::from_bytes(clean.display().to_string(), &bytes));
        }
    }
    let name = names.first().map_or("Dockerfile", String::as_str);
    let none = io::Error::new(io::ErrorKind::NotFound, "the context has no such file");
    Err(input(
        "read the Dockerfile",
        &fetched.subdir().join(name),
        none,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::dir;
    use super::*;

    #[test]
    fn a_lower_case_dockerfile_is_found_where_there_is_no_other() {
        let lower = dir(&[("dockerfile", "")]);
        assert!(default_path(lower.path()).ends_with("dockerfile"));
        let both = dir(&[("dockerfile", ""), ("Dockerfile", "")]);
        assert!(default_path(both.path()).ends_with("Dockerfile"));
    }

    #[test]
    fn a_dockerfile_may_be_a_link_and_is_shown_by_its_path_in_the_context() {
        let dir = dir(&[("real", "FROM scratch\n")]);
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let path = DockerfileInput::Path(dir.path().join("link"));
        let (source, ignore) = local(dir.path(), &path).unwrap().unwrap();
        assert_eq!((source.name(), source.text()), ("link", "FROM scratch\n"));
        assert!(ignore.is_none());
        let url = DockerfileInput::Url("https://h/D".to_owned());
        assert!(local(dir.path(), &url).unwrap().is_none());
        let missing = DockerfileInput::Path("/no/such/file".into());
        let Err(error) = local(dir.path(), &missing) else {
            panic!("a file that is not there was read");
        };
        let words = "failed to read the Dockerfile `/no/such/file`";
        assert!(error.to_string().starts_with(words), "{error}");
    }
}
