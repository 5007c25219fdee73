//! COPY and ADD.

use super::chmod::Chmod;
use super::copy_parts::{PartMaker, Source};
use super::model::{CopyStep, Link, StepAction};
use super::path;
use super::scope::Expander;
use super::triggers::Item;
use super::walk::Walk;
use crate::ast::{Add, Copy, CopySource, Heredoc};
use crate::diagnostic::Diagnostic;
use crate::pins::Flavour;
use crate::remote::redacted;
use crate::request::MainContext;
use crate::span::{Span, Spanned};
use acetate_graph::{CopyAction, CopyOwner, MkfileAction};

/// The arguments of either instruction.
pub(super) struct Args<'i> {
    pub(super) keyword: &'static str,
    pub(super) span: Span,
    pub(super) from: Option<&'i Spanned<String>>,
    chown: Option<&'i Spanned<String>>,
    chmod: Option<&'i Spanned<String>>,
    link: bool,
    pub(super) parents: bool,
    excludes: &'i [Spanned<String>],
    checksum: Option<&'i Spanned<String>>,
    /// `--keep-git-dir`, which also says that a source is a repository.
    pub(super) keep_git_dir: Option<bool>,
    pub(super) unpack: Option<bool>,
    sources: &'i [CopySource],
    dest: &'i Spanned<String>,
}

/// The same with variables filled in.
pub(super) struct Expanded {
    chown: Option<String>,
    pub(super) chmod: Option<Chmod>,
    /// `--checksum`, if it is not empty.
    pub(super) checksum: Option<Spanned<String>>,
    pub(super) excludes: Vec<String>,
    pub(super) paths: Vec<Spanned<String>>,
    /// Names and contents.
    files: Vec<(String, String)>,
    dest: String,
}

impl Expanded {
    /// What of the sources counts: not what is overwritten.
    pub(super) fn flavour(&self) -> Flavour {
        Flavour {
            keep_owner: self.chown.is_none(),
            keep_mode: !self.chmod.as_ref().is_some_and(Chmod::is_octal),
        }
    }
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
            link: is_set(flags.link.as_ref()),
            parents: is_set(flags.parents.as_ref()),
            excludes: &flags.excludes,
            checksum: None,
            keep_git_dir: None,
            unpack: None,
            sources: &copy.sources,
            dest: &copy.dest,
        };
        self.copy_or_add(item, &args)
    }

    pub(super) fn add(&mut self, item: &Item<'_>, add: &Add) -> Result<(), Diagnostic> {
        let flags = &add.flags;
        let args = Args {
            keyword: "ADD",
            span: item.place(item.instruction.span),
            from: None,
            chown: flags.chown.as_ref(),
            chmod: flags.chmod.as_ref(),
            link: is_set(flags.link.as_ref()),
            parents: false,
            excludes: &flags.excludes,
            checksum: flags.checksum.as_ref(),
            keep_git_dir: flags.keep_git_dir.as_ref().map(|keep| keep.value),
            unpack: flags.unpack.as_ref().map(|unpack| unpack.value),
            sources: &add.sources,
            dest: &add.dest,
        };
        self.copy_or_add(item, &args)
    }

    fn copy_or_add(&mut self, item: &Item<'_>, args: &Args<'_>) -> Result<(), Diagnostic> {
        let mut expander = self.expander();
        let expanded = expand(item, args, &mut expander)?;
        let unset = expander.into_unset();
        self.warn_unset(item, unset);
        let sources = Source::all(args, &expanded)?;
        self.warn_of_ignored(item, args, &sources);
        let created_by = created_by(args, &expanded);
        let name = redacted(&self.display_name(item)).into_owned();
        // With `--chmod` a linked copy is an ordinary one.
        let link = (args.link && expanded.chmod.is_none()).then(|| Link {
            name: self.peek_name(&redacted(&self.prefixed_name(item, "LINK "))),
            names_owner: expanded.chown.as_deref().is_some_and(is_name),
        });
        let step = CopyStep {
            files: self.files(&expanded),
            parts: PartMaker::new(self, args, &expanded).make(&sources)?,
            link,
        };
        for part in &step.parts {
            self.wanted.want(&part.input, args.span);
        }
        self.step(item, &name, created_by, StepAction::Copy(step));
        Ok(())
    }

    fn warn_of_ignored(&mut self, item: &Item<'_>, args: &Args<'_>, sources: &[Source]) {
        let is_local = self.ctx.request.context == MainContext::Local;
        let from_context = is_local && args.from.is_none() && !item.is_trigger;
        let Some(ignored) = self.ctx.ignored.filter(|_| from_context) else {
            return;
        };
        for (path, span) in sources.iter().filter_map(Source::path) {
            if let Some(warning) = ignored.check(args.keyword, path, span) {
                self.warn(item, warning);
            }
        }
    }

    fn files(&self, expanded: &Expanded) -> Vec<MkfileAction> {
        let dest = path::destination(&self.state.workdir(), &expanded.dest);
        let files = expanded.files.iter().map(|(name, content)| MkfileAction {
            name: name.clone(),
            dest: dest.clone(),
            content: content.clone().into_bytes(),
            mode: expanded.chmod.as_ref().map(Chmod::canonical),
            owner: expanded.chown.clone().unwrap_or_default(),
            // An epoch is in no key: it is applied when layers are written.
            mtime: None,
        });
        files.collect()
    }

    /// What all parts of an instruction do alike; `owner` is for files that are not given to anybody.
    pub(super) fn copy_action(
        &self,
        args: &Args<'_>,
        expanded: &Expanded,
        owner: CopyOwner,
    ) -> CopyAction {
        let chown = expanded.chown.clone();
        CopyAction {
            input: 0,
            sources: Vec::new(),
            dest: path::destination(&self.state.workdir(), &expanded.dest),
            owner: chown.map_or(owner, CopyOwner::Named),
            mode: expanded.chmod.as_ref().map(Chmod::canonical),
            archives: acetate_graph::Archives::Copy,
            parents: args.parents,
            excludes: expanded.excludes.clone(),
        }
    }
}

fn is_set(flag: Option<&Spanned<bool>>) -> bool {
    flag.is_some_and(|flag| flag.value)
}

/// Says whether `user[:group]` has a part that is no number.
fn is_name(owner: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    !owner.split(':').all(is_number)
}

fn expand(
    item: &Item<'_>,
    args: &Args<'_>,
    expander: &mut Expander<'_>,
) -> Result<Expanded, Diagnostic> {
    let mut flag = |flag: Option<&Spanned<String>>| match flag {
        // A flag that expands to nothing was not given.
        Some(text) => expander
            .word(&text.value, text.span)
            .map(|value| Some(Spanned::new(value, text.span)).filter(|it| !it.value.is_empty())),
        None => Ok(None),
    };
    let chown = flag(args.chown)?.map(|chown| chown.value);
    let chmod = flag(args.chmod)?;
    let checksum = flag(args.checksum)?;
    let excludes: Result<Vec<String>, Diagnostic> = args
        .excludes
        .iter()
        .map(|pattern| expander.word(&pattern.value, pattern.span))
        .collect();
    let excludes = excludes?;
    let (mut paths, mut files) = (Vec::new(), Vec::new());
    for source in args.sources {
        match source {
            CopySource::Path(path) => {
                let text = expander.word(&path.value, path.span)?;
                paths.push(Spanned::new(text, path.span));
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
    let chmod = chmod.map(|text| mode(&text)).transpose()?;
    Ok(Expanded {
        chown,
        chmod,
        checksum,
        excludes,
        paths,
        files,
        dest,
    })
}

fn mode(text: &Spanned<String>) -> Result<Chmod, Diagnostic> {
    Chmod::parse(&text.value)
        .map_err(|message| Diagnostic::error("invalid-chmod", message).at(text.span))
}

fn content(heredoc: &Heredoc, expander: &mut Expander<'_>) -> Result<String, Diagnostic> {
    if heredoc.expand {
        expander.heredoc(&heredoc.content, heredoc.body_span)
    } else {
        Ok(heredoc.content.clone())
    }
}

/// `COPY --parents --chown=1 a b <<EOF /x # buildkit` (S93).
fn created_by(args: &Args<'_>, expanded: &Expanded) -> String {
    let mut words = vec![args.keyword.to_owned()];
    if args.parents {
        words.push("--parents".to_owned());
    }
    words.extend(
        expanded
            .chown
            .iter()
            .map(|chown| format!("--chown={chown}")),
    );
    // The mode as it was given, not in its one spelling.
    words.extend(
        expanded
            .chmod
            .iter()
            .map(|chmod| format!("--chmod={}", chmod.as_given())),
    );
    words.extend(
        expanded
            .paths
            .iter()
            .map(|path| redacted(&path.value).into_owned()),
    );
    words.extend(expanded.files.iter().map(|(name, _)| format!("<<{name}")));
    words.push(expanded.dest.clone());
    format!("{} # buildkit", words.join(" "))
}
