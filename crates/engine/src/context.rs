use crate::{BuildError, BuildRequest, ContextInput, DockerfileInput};
use acetate_files::HostTree;
use acetate_frontend::{Diagnostic, NamedContext, SourceFile};
use acetate_image::ImageSource;
use acetate_pattern::IgnoreMatcher;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All that a build reads from the host: the Dockerfile and the contexts.
#[derive(Debug)]
pub(crate) struct Contexts {
    /// The Dockerfile.
    pub(crate) source: Arc<SourceFile>,
    main: HostTree,
    named: BTreeMap<String, Named>,
}

#[derive(Debug)]
enum Named {
    Image(String),
    Layout(ImageSource),
    Local(HostTree),
}

/// A Dockerfile longer than this is some other file.
const MAX_DOCKERFILE: u64 = 16 << 20;

impl Contexts {
    /// Opens everything that the request names.
    pub(crate) fn open(request: &BuildRequest) -> Result<Self, BuildError> {
        let ContextInput::Directory(dir) = &request.context else {
            return Err(BuildError::request_with(
                "only a directory can be the context yet",
                "give a directory",
            ));
        };
        check_dir(dir)?;
        let (source, ignore_beside) = dockerfile(dir, &request.dockerfile)?;
        let main = open_tree(dir, ignore_beside)?;
        let mut named = BTreeMap::new();
        for (name, value) in &request.build_contexts {
            named.insert(name.clone(), Named::open(name, value)?);
        }
        Ok(Self {
            source: Arc::new(source),
            main,
            named,
        })
    }

    /// An error in the Dockerfile.
    pub(crate) fn blame(&self, diagnostics: Vec<Diagnostic>) -> BuildError {
        BuildError::Dockerfile {
            file: Arc::clone(&self.source),
            diagnostics,
        }
    }

    /// The tree of a local context; the empty name is the main one.
    pub(crate) fn tree(&self, name: &str) -> Option<&HostTree> {
        match self.named.get(name) {
            Some(Named::Local(tree)) => Some(tree),
            None if name.is_empty() => Some(&self.main),
            _ => None,
        }
    }

    /// The layout that a named context stands for.
    pub(crate) fn layout(&self, name: &str) -> Option<&ImageSource> {
        match self.named.get(name) {
            Some(Named::Layout(source)) => Some(source),
            _ => None,
        }
    }

    /// The named contexts as the frontend sees them, without any path.
    pub(crate) fn for_plan(&self) -> BTreeMap<String, NamedContext> {
        let view = |named: &Named| match named {
            Named::Image(reference) => NamedContext::Image(reference.clone()),
            Named::Layout(_) => NamedContext::Layout,
            Named::Local(_) => NamedContext::Local,
        };
        self.named
            .iter()
            .map(|(name, named)| (name.clone(), view(named)))
            .collect()
    }
}

impl Named {
    fn open(name: &str, value: &str) -> Result<Self, BuildError> {
        if let Some(reference) = value.strip_prefix("docker-image://") {
            return Ok(Self::Image(reference.to_owned()));
        }
        if value.starts_with("oci-layout://") {
            let source = value.parse::<ImageSource>();
            return source
                .map(Self::Layout)
                .map_err(|error| BuildError::request(error.to_string()));
        }
        if value.contains("://") || value.starts_with("git@") || value.starts_with("target:") {
            return Err(BuildError::request_with(
                format!("build context `{name}={value}` is not supported yet"),
                "give a directory, `oci-layout://DIR` or `docker-image://NAME`",
            ));
        }
        let dir = Path::new(value);
        check_dir(dir)?;
        open_tree(dir, None).map(Self::Local)
    }
}

fn check_dir(dir: &Path) -> Result<(), BuildError> {
    let input = |source| BuildError::Input {
        action: "open the context",
        path: dir.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(dir).map_err(input)?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(input(io::ErrorKind::NotADirectory.into()))
    }
}

/// Opens a directory with the ignore file given, or with the one in its root.
fn open_tree(dir: &Path, ignore: Option<IgnoreFile>) -> Result<HostTree, BuildError> {
    let ignore = match ignore {
        Some(found) => Some(found),
        None => IgnoreFile::read(dir.join(".dockerignore"))?,
    };
    let matcher = ignore.map(|file| file.parse()).transpose()?;
    Ok(HostTree::open(dir, matcher)?)
}

struct IgnoreFile {
    path: PathBuf,
    text: String,
}

impl IgnoreFile {
    /// An absent file is no error.
    fn read(path: PathBuf) -> Result<Option<Self>, BuildError> {
        match std::fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok(Some(Self { path, text }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BuildError::Input {
                action: "read",
                path,
                source,
            }),
        }
    }

    fn parse(&self) -> Result<IgnoreMatcher, BuildError> {
        IgnoreMatcher::parse(&self.text)
            .map_err(|error| BuildError::request(format!("{}: {error}", self.path.display())))
    }
}

/// Reads the Dockerfile, and the ignore file that stands beside it under its name.
fn dockerfile(
    context: &Path,
    input: &DockerfileInput,
) -> Result<(SourceFile, Option<IgnoreFile>), BuildError> {
    let path = match input {
        DockerfileInput::Text(text) => {
            return Ok((SourceFile::new("Dockerfile", text.clone()), None));
        }
        DockerfileInput::Path(path) => path.clone(),
        DockerfileInput::InContext => default_path(context),
        DockerfileInput::Url(_) => {
            return Err(BuildError::request(
                "a Dockerfile by URL is not supported yet",
            ));
        }
    };
    let input = |action, source| BuildError::Input {
        action,
        path: path.clone(),
        source,
    };
    let metadata = std::fs::metadata(&path).map_err(|error| input("read the Dockerfile", error))?;
    if metadata.is_dir() {
        return Err(input(
            "read the Dockerfile",
            io::ErrorKind::IsADirectory.into(),
        ));
    }
    if metadata.len() > MAX_DOCKERFILE {
        return Err(input(
            "read the Dockerfile",
            io::ErrorKind::FileTooLarge.into(),
        ));
    }
    let bytes = std::fs::read(&path).map_err(|error| input("read the Dockerfile", error))?;
    let shown = path.strip_prefix(context).unwrap_or(&path);
    let source = SourceFile::from_bytes(shown.display().to_string(), &bytes);
    let mut beside = path.clone().into_os_string();
    beside.push(".dockerignore");
    Ok((source, IgnoreFile::read(PathBuf::from(beside))?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_files::Tree;

    fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn names(tree: &HostTree) -> Vec<String> {
        let nodes = tree.read_dir(Path::new("")).unwrap();
        nodes
            .iter()
            .map(|node| node.name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn the_ignore_file_beside_the_dockerfile_goes_first() {
        let files = [
            ("x.Dockerfile", "FROM scratch"),
            ("x.Dockerfile.dockerignore", "a"),
            (".dockerignore", "b"),
            ("a", ""),
            ("b", ""),
        ];
        let dir = dir(&files);
        let found = IgnoreFile::read(dir.path().join("x.Dockerfile.dockerignore")).unwrap();
        let tree = open_tree(dir.path(), found).unwrap();
        assert!(!names(&tree).contains(&"a".to_owned()) && names(&tree).contains(&"b".to_owned()));
        let tree = open_tree(dir.path(), None).unwrap();
        assert!(names(&tree).contains(&"a".to_owned()) && !names(&tree).contains(&"b".to_owned()));
    }

    #[test]
    fn a_lower_case_dockerfile_is_found_where_there_is_no_other() {
        let lower = dir(&[("dockerfile", "")]);
        assert!(default_path(lower.path()).ends_with("dockerfile"));
        let both = dir(&[("dockerfile", ""), ("Dockerfile", "")]);
        assert!(default_path(both.path()).ends_with("Dockerfile"));
    }

    #[test]
    fn contexts_that_are_not_handled_yet_fail_by_name() {
        for value in ["https://example.org/x.git", "git@example.org:x", "target:y"] {
            let error = Named::open("n", value).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("build context `n={value}` is not supported yet")
            );
        }
        let missing = Named::open("n", "/no/such/dir").unwrap_err().to_string();
        assert!(
            missing.starts_with("failed to open the context `/no/such/dir`"),
            "{missing}"
        );
    }

    #[test]
    fn a_bad_ignore_file_is_named() {
        let dir = dir(&[(".dockerignore", "ok\n!\n")]);
        let error = open_tree(dir.path(), None).unwrap_err().to_string();
        assert!(
            error.contains(".dockerignore") && error.contains("illegal exclusion pattern"),
            "{error}"
        );
    }
}
