//! What the sources of a COPY or ADD are, and which copies they become.

use super::copy::{Args, Expanded};
use super::model::{CopyPart, Input};
use super::remotes::{self, Remote};
use super::resolve::Origin;
use super::walk::Walk;
use super::{path, wanted};
use crate::diagnostic::Diagnostic;
use crate::pins::{RemoteNeed, SelectionSpec};
use crate::request::MainContext;
use crate::span::Span;
use acetate_graph::{Archives, CopyAction, CopyOwner, CopySource};

/// One source.
pub(super) enum Source {
    /// A path, cleaned.
    Path(String, Span),
    /// A file that is fetched, and its name.
    File(RemoteNeed, String),
    /// A repository that is fetched.
    Repository(RemoteNeed),
}

impl Source {
    /// Tells addresses from paths.
    pub(super) fn all(args: &Args<'_>, expanded: &Expanded) -> Result<Vec<Self>, Diagnostic> {
        let sources: Result<Vec<Self>, Diagnostic> = expanded
            .paths
            .iter()
            .map(|path| Self::new(args, expanded, &path.value, path.span))
            .collect();
        let sources = sources?;
        if let Some(checksum) = &expanded.checksum {
            let message = match sources.as_slice() {
                [Self::File(..) | Self::Repository(_)] => return Ok(sources),
                [_] => "checksum requires HTTP(S) or Git sources",
                _ => "checksum can't be specified for multiple sources",
            };
            return Err(Diagnostic::error("invalid-checksum", message).at(checksum.span));
        }
        Ok(sources)
    }

    pub(super) fn path(&self) -> Option<(&str, Span)> {
        match self {
            Self::Path(path, span) => Some((path, *span)),
            Self::File(..) | Self::Repository(_) => None,
        }
    }

    fn new(
        args: &Args<'_>,
        expanded: &Expanded,
        text: &str,
        span: Span,
    ) -> Result<Self, Diagnostic> {
        let found = remotes::find(text, args.keep_git_dir, span)?;
        if args.keyword == "COPY" {
            let message = match found {
                None => return Ok(Self::Path(args.clean(text), span)),
                Some(Remote::File(_)) => "source can't be a URL for COPY",
                Some(Remote::Repository(_)) => "source can't be a git ref for COPY",
            };
            let error = Diagnostic::error("copy-url", message).at(span);
            return Err(error.with_hint("use ADD"));
        }
        // A checksum that does not fit several sources is refused as such.
        let checksum = expanded.checksum.as_ref();
        let checksum = checksum.filter(|_| expanded.paths.len() == 1);
        Ok(match found {
            None => Self::Path(args.clean(text), span),
            Some(Remote::File(url)) => {
                let name = crate::remote::file_name(&url);
                Self::File(remotes::file(url, checksum)?, name)
            }
            Some(Remote::Repository(url)) => Self::Repository(remotes::repository(
                &url,
                args.keep_git_dir,
                checksum,
                span,
            )?),
        })
    }
}

impl Args<'_> {
    fn clean(&self, text: &str) -> String {
        if self.parents {
            path::source_with_pivot(text)
        } else {
            path::source(text)
        }
    }
}

/// Makes copies of sources.
pub(super) struct PartMaker<'p, 'w, 'a> {
    walk: &'p Walk<'w, 'a>,
    args: &'p Args<'p>,
    expanded: &'p Expanded,
}

impl<'p, 'w, 'a> PartMaker<'p, 'w, 'a> {
    pub(super) fn new(walk: &'p Walk<'w, 'a>, args: &'p Args<'p>, expanded: &'p Expanded) -> Self {
        Self {
            walk,
            args,
            expanded,
        }
    }

    /// One part for every run of paths and one for every address, in order.
    pub(super) fn make(&self, sources: &[Source]) -> Result<Vec<CopyPart>, Diagnostic> {
        let runs = sources.chunk_by(|one, next| one.path().is_some() && next.path().is_some());
        runs.map(|run| match run.first() {
            Some(Source::File(need, name)) => Ok(self.remote(need, path::literal(name))),
            Some(Source::Repository(need)) => Ok(self.remote(need, ".".to_owned())),
            Some(Source::Path(..)) | None => self.paths(run),
        })
        .collect()
    }

    fn paths(&self, run: &[Source]) -> Result<CopyPart, Diagnostic> {
        let paths: Vec<(&str, Span)> = run.iter().filter_map(Source::path).collect();
        let input = self.input(&paths)?;
        let is_add = self.args.keyword == "ADD";
        let archives = if is_add && self.args.unpack.unwrap_or(true) {
            Archives::Unpack
        } else {
            Archives::Copy
        };
        let action = match input {
            // Files of a local context have no owner that means anything in an image (S36), and
            // the selection is what the excludes leave.
            Input::Selection(_) => CopyAction {
                sources: (0..)
                    .zip(&paths)
                    .map(|(slot, _)| CopySource::Slot(slot))
                    .collect(),
                excludes: Vec::new(),
                archives,
                ..self.action(CopyOwner::Root)
            },
            _ => CopyAction {
                sources: paths
                    .iter()
                    .map(|(path, _)| CopySource::Path((*path).to_owned()))
                    .collect(),
                archives,
                ..self.action(CopyOwner::Keep)
            },
        };
        Ok(CopyPart { input, action })
    }

    /// Where paths are taken from.
    fn input(&self, paths: &[(&str, Span)]) -> Result<Input, Diagnostic> {
        let from = self.args.from;
        let origin = from.and_then(|from| self.walk.instance.copies.get(&from.value));
        let context = match (origin, from) {
            (Some(Origin::Stage(instance)), _) => {
                return Ok(Input::Stage(self.walk.ids[*instance]));
            }
            (Some(Origin::Image(need)), _) => return Ok(Input::Image(need.clone())),
            (Some(Origin::Scratch), Some(from)) => {
                let message = "`scratch` has no files to copy";
                return Err(Diagnostic::error("copy-from-scratch", message).at(from.span));
            }
            (Some(Origin::Remote(name)), _) => return Ok(wanted::fetched(name)),
            (Some(Origin::Local(name)), _) => name.clone(),
            _ => match self.walk.ctx.request.context {
                MainContext::Local => String::new(),
                MainContext::Remote => return Ok(wanted::fetched("")),
                MainContext::Empty => return nothing(paths),
            },
        };
        Ok(Input::Selection(SelectionSpec {
            context,
            sources: paths.iter().map(|(path, _)| (*path).to_owned()).collect(),
            excludes: self.expanded.excludes.clone(),
            parents: self.args.parents,
            flavour: self.expanded.flavour(),
        }))
    }

    /// A file that was fetched is unpacked only if that is asked for (S55).
    fn remote(&self, need: &RemoteNeed, path: String) -> CopyPart {
        let is_file = matches!(need, RemoteNeed::Http { .. });
        let archives = if is_file && self.args.unpack == Some(true) {
            Archives::Unpack
        } else {
            Archives::Copy
        };
        CopyPart {
            input: Input::Remote(need.clone()),
            action: CopyAction {
                sources: vec![CopySource::Path(path)],
                archives,
                ..self.action(CopyOwner::Root)
            },
        }
    }

    fn action(&self, owner: CopyOwner) -> CopyAction {
        self.walk.copy_action(self.args, self.expanded, owner)
    }
}

/// An empty context: wildcards find nothing there, and paths are missing.
fn nothing(paths: &[(&str, Span)]) -> Result<Input, Diagnostic> {
    let missing = paths
        .iter()
        .find(|(path, _)| *path != "." && !acetate_pattern::has_meta(path));
    match missing {
        None => Ok(Input::Empty),
        Some((path, span)) => Err(not_found(path, *span)),
    }
}

/// A path of an empty context.
pub(super) fn not_found(path: &str, span: Span) -> Diagnostic {
    Diagnostic::error("empty-context", format!("\"/{path}\": not found"))
        .at(span)
        .with_hint("this build has no context: give it a directory, an archive or a repository")
}
