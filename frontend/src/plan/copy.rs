//! COPY and ADD.

use super::chmod::Chmod;
use super::model::{CopyInput, CopyStep, StepAction};
use super::path;
use super::resolve::Origin;
use super::scope::Expander;
use super::triggers::Item;
use super::unsupported;
use super::walk::Walk;
use crate::ast::{Add, Copy, CopySource, Heredoc};
use crate::diagnostic::Diagnostic;
use crate::pins::{Flavour, SelectionSpec};
use crate::span::{Span, Spanned};
use acetate_graph::{Archives, CopyOwner, MkfileAction};

/// The arguments of either instruction.
struct Args<'i> {
    keyword: &'static str,
    span: Span,
    from: Option<&'i Spanned<String>>,
    chown: Option<&'i Spanned<String>>,
    chmod: Option<&'i Spanned<String>>,
    archives: Archives,
    sources: &'i [CopySource],
    dest: &'i Spanned<String>,
}

/// The same with variables filled in.
struct Expanded {
    chown: Option<String>,
    chmod: Option<String>,
    paths: Vec<(String, Span)>,
    /// Names and contents.
    files: Vec<(String, String)>,
    dest: String,
}

impl Walk<'_, '_> {
    pub(super) fn copy(&mut self, item: &Item<'_>, copy: &Copy) -> Result<(), Diagnostic> {
        let flags = &copy.flags;
        let args = Args {
            keyword: "COPY",
            span: item.place(item.instruction.span),
            from: flags.from.as_ref().filter(|from| !from.value.is_empty()),
            chown: flags.chown.as_ref(),
            chmod: flags.chmod.as_ref(),
            archives: Archives::Copy,
            sources: &copy.sources,
            dest: &copy.dest,
        };
        self.copy_or_add(item, &args)
    }

    pub(super) fn add(&mut self, item: &Item<'_>, add: &Add) -> Result<(), Diagnostic> {
        let flags = &add.flags;
        if let Some(checksum) = &flags.checksum {
            return Err(self.checksum_error(add, checksum.span));
        }
        let unpack = flags.unpack.as_ref().is_none_or(|unpack| unpack.value);
        let args = Args {
            keyword: "ADD",
            span: item.place(item.instruction.span),
            from: None,
            chown: flags.chown.as_ref(),
            chmod: flags.chmod.as_ref(),
            archives: if unpack {
                Archives::Unpack
            } else {
                Archives::Copy
            },
            sources: &add.sources,
            dest: &add.dest,
        };
        self.copy_or_add(item, &args)
    }

    fn checksum_error(&self, add: &Add, span: Span) -> Diagnostic {
        let mut expander = self.expander();
        let mut is_remote = |source: &CopySource| match source {
            CopySource::Path(path) => expander
                .word(&path.value, path.span)
                .is_ok_and(|path| remote(&path).is_some()),
            CopySource::Heredoc(_) => false,
        };
        let message = match add.sources.as_slice() {
            [source] if is_remote(source) => return unsupported::error("ADD --checksum", span),
            [_] => "checksum requires HTTP(S) or Git sources",
            _ => "checksum can't be specified for multiple sources",
        };
        Diagnostic::error("invalid-checksum", message).at(span)
    }

    fn copy_or_add(&mut self, item: &Item<'_>, args: &Args<'_>) -> Result<(), Diagnostic> {
        let mut expander = self.expander();
        let expanded = expand(item, args, &mut expander)?;
        let unset = expander.into_unset();
        self.warn_unset(item, unset);
        for (path, span) in &expanded.paths {
            refuse_remote(args, path, *span)?;
        }
        let chmod = match (&expanded.chmod, args.chmod) {
            (Some(text), Some(flag)) => Some(
                Chmod::parse(text)
                    .map_err(|message| Diagnostic::error("invalid-chmod", message).at(flag.span))?,
            ),
            _ => None,
        };
        let created_by = created_by(args, &expanded);
        let step = self.copy_step(args, expanded, chmod.as_ref())?;
        self.step(item, "", created_by, StepAction::Copy(step));
        Ok(())
    }

    fn copy_step(
        &mut self,
        args: &Args<'_>,
        expanded: Expanded,
        chmod: Option<&Chmod>,
    ) -> Result<CopyStep, Diagnostic> {
        let dest = path::destination(&self.state.workdir(), &expanded.dest);
        let mode = chmod.map(Chmod::canonical);
        let owner = expanded.chown.clone().unwrap_or_default();
        let files = expanded
            .files
            .into_iter()
            .map(|(name, content)| MkfileAction {
                name,
                dest: dest.clone(),
                content: content.into_bytes(),
                mode: mode.clone(),
                owner: owner.clone(),
                // An epoch is in no key: it is applied when layers are written.
                mtime: None,
            });
        let files: Vec<MkfileAction> = files.collect();
        let paths: Vec<String> = expanded
            .paths
            .iter()
            .map(|(text, _)| path::source(text))
            .collect();
        let flavour = Flavour {
            keep_owner: expanded.chown.is_none(),
            keep_mode: !matches!(chmod, Some(Chmod::Octal(_))),
        };
        let n_paths = u32::try_from(paths.len()).unwrap_or(u32::MAX);
        let input = if paths.is_empty() {
            None
        } else {
            Some(self.copy_input(args, &paths, flavour)?)
        };
        let from_context = matches!(input, Some(CopyInput::Selection(_)));
        let sources = if from_context {
            (0..n_paths).map(acetate_graph::CopySource::Slot).collect()
        } else {
            paths
                .into_iter()
                .map(acetate_graph::CopySource::Path)
                .collect()
        };
        let owner = match expanded.chown {
            Some(chown) => CopyOwner::Named(chown),
            // Files of a context have no owner that means anything in an image (S36).
            None if from_context => CopyOwner::Root,
            None => CopyOwner::Keep,
        };
        Ok(CopyStep {
            input,
            sources,
            dest,
            owner,
            mode,
            archives: args.archives,
            files,
        })
    }

    fn copy_input(
        &mut self,
        args: &Args<'_>,
        paths: &[String],
        flavour: Flavour,
    ) -> Result<CopyInput, Diagnostic> {
        let origin = args
            .from
            .and_then(|from| self.instance.copies.get(&from.value));
        let context = match (origin, args.from) {
            (Some(Origin::Stage(instance)), _) => {
                return Ok(CopyInput::Stage(self.ids[*instance]));
            }
            (Some(Origin::Image(need)), _) => return Ok(CopyInput::Image(need.clone())),
            (Some(Origin::Scratch), Some(from)) => {
                return Err(Diagnostic::error(
                    "copy-from-scratch",
                    "`scratch` has no files to copy",
                )
                .at(from.span));
            }
            (Some(Origin::Local(name)), _) => name.clone(),
            _ => String::new(),
        };
        let spec = SelectionSpec {
            context,
            sources: paths.to_vec(),
            excludes: Vec::new(),
            parents: false,
            flavour,
        };
        let span = args.span;
        self.selections.entry(spec.clone()).or_insert(span);
        Ok(CopyInput::Selection(spec))
    }
}

fn expand(
    item: &Item<'_>,
    args: &Args<'_>,
    expander: &mut Expander<'_>,
) -> Result<Expanded, Diagnostic> {
    let mut flag = |flag: Option<&Spanned<String>>| match flag {
        Some(text) => expander.word(&text.value, text.span).map(Some),
        None => Ok(None),
    };
    // A flag that expands to nothing was not given.
    let chown = flag(args.chown)?.filter(|value| !value.is_empty());
    let chmod = flag(args.chmod)?.filter(|value| !value.is_empty());
    let (mut paths, mut files) = (Vec::new(), Vec::new());
    for source in args.sources {
        match source {
            CopySource::Path(path) => {
                paths.push((expander.word(&path.value, path.span)?, path.span));
            }
            CopySource::Heredoc(idx) => {
                let Some(heredoc) = item.instruction.heredocs.get(*idx) else {
                    let message = "a heredoc without a body";
                    return Err(Diagnostic::error("heredoc", message).at(args.dest.span));
                };
                files.push((heredoc.name.clone(), content(heredoc, expander)?));
            }
        }
    }
    let dest = expander.word(&args.dest.value, args.dest.span)?;
    Ok(Expanded {
        chown,
        chmod,
        paths,
        files,
        dest,
    })
}

fn content(heredoc: &Heredoc, expander: &mut Expander<'_>) -> Result<String, Diagnostic> {
    if heredoc.expand {
        expander.heredoc(&heredoc.content, heredoc.body_span)
    } else {
        Ok(heredoc.content.clone())
    }
}

/// `COPY --chown=1 a b <<EOF /x # buildkit` (S93).
fn created_by(args: &Args<'_>, expanded: &Expanded) -> String {
    let mut words = vec![args.keyword.to_owned()];
    words.extend(
        expanded
            .chown
            .iter()
            .map(|chown| format!("--chown={chown}")),
    );
    words.extend(
        expanded
            .chmod
            .iter()
            .map(|chmod| format!("--chmod={chmod}")),
    );
    words.extend(expanded.paths.iter().map(|(path, _)| path.clone()));
    words.extend(expanded.files.iter().map(|(name, _)| format!("<<{name}")));
    words.push(expanded.dest.clone());
    format!("{} # buildkit", words.join(" "))
}

/// What kind of remote source a text is, if it is one.
fn remote(path: &str) -> Option<&'static str> {
    let is_http = path.starts_with("http://") || path.starts_with("https://");
    let without_fragment = path.split(['#', '?']).next().unwrap_or(path);
    let is_git = path.starts_with("git://")
        || path.starts_with("ssh://")
        || path.starts_with("git@")
        || (is_http && without_fragment.strip_suffix(".git").is_some());
    match (is_git, is_http) {
        (true, _) => Some("ADD of a Git repository"),
        (_, true) => Some("ADD of a URL"),
        _ => None,
    }
}

fn refuse_remote(args: &Args<'_>, path: &str, span: Span) -> Result<(), Diagnostic> {
    let Some(kind) = remote(path) else {
        return Ok(());
    };
    if args.keyword == "ADD" {
        return Err(unsupported::error(kind, span));
    }
    if path.starts_with("http") {
        let message = "source can't be a URL for COPY";
        return Err(Diagnostic::error("copy-url", message)
            .at(span)
            .with_hint("use ADD"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::remote;

    #[test]
    fn tells_remote_sources_from_paths() {
        for (path, kind) in [
            ("https://example.com/a.tar", Some("ADD of a URL")),
            (
                "https://example.com/a.git#main:sub",
                Some("ADD of a Git repository"),
            ),
            (
                "https://example.com/a.git?ref=x",
                Some("ADD of a Git repository"),
            ),
            ("git@example.com:a/b", Some("ADD of a Git repository")),
            ("ssh://git@example.com/a", Some("ADD of a Git repository")),
            ("a.git", None),
            ("http", None),
            ("dir/https://", None),
        ] {
            assert_eq!(remote(path), kind, "{path}");
        }
    }
}
