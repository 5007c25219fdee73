//! Shows the events of a build: for logs, for a terminal, for programs, or not at all.

mod board;
mod brief;
mod explained;
mod last_words;
mod part;
mod plain;
mod rawjson;
mod tty;

pub(crate) use brief::Brief;
pub(crate) use explained::Explained;
pub(crate) use last_words::LastWords;
pub(crate) use plain::Plain;
pub(crate) use rawjson::RawJson;
pub(crate) use tty::Tty;

use acetate_engine::{EventSink, Explanation, NoEvents};
use anyhow::{Result, bail};
use std::sync::Arc;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Line by line.
    Plain,
    /// A line for each blob that has moved.
    Brief,
    /// Redrawn in place.
    Tty,
    /// Not at all.
    Quiet,
    /// One JSON object a line.
    RawJson,
}

impl Mode {
    /// Reads `--progress`; `auto` depends on whether anybody looks at a terminal.
    pub(crate) fn choose(text: &str, is_terminal: bool) -> Result<Self> {
        Ok(match text {
            "auto" | "" | "tty" if is_terminal => Self::Tty,
            "auto" | "" | "plain" => Self::Plain,
            "tty" => bail!("--progress tty: standard error is no terminal"),
            "quiet" | "none" => Self::Quiet,
            "rawjson" => Self::RawJson,
            other => bail!("--progress {other}: expected auto, plain, tty, quiet or rawjson"),
        })
    }

    /// The same for commands that do nothing but move images: where nobody looks, `auto` is `unseen`.
    pub(crate) fn choose_for_images(text: &str, is_terminal: bool, unseen: Self) -> Result<Self> {
        match text {
            "auto" | "" if !is_terminal => Ok(unseen),
            text => Self::choose(text, is_terminal),
        }
    }

    /// Something that shows the events of a build this way, and is done showing when it is finished.
    pub(crate) fn view(self) -> View {
        self.view_of("Building")
    }

    /// The same for something else than a build, called `what` on a terminal.
    pub(crate) fn view_of(self, what: &'static str) -> View {
        match self {
            Self::Brief => View::over(Arc::new(Brief::new(std::io::stderr()))),
            Self::Plain => View::over(Arc::new(Plain::new(std::io::stderr()))),
            Self::RawJson => View::over(Arc::new(RawJson::new(std::io::stderr()))),
            Self::Quiet => View::over(Arc::new(NoEvents)),
            Self::Tty => {
                let tty = Arc::new(Tty::start(what));
                View {
                    tty: Some(Arc::clone(&tty)),
                    ..View::over(tty)
                }
            }
        }
    }
}

/// A way of showing a build.
pub(crate) struct View {
    sink: Arc<LastWords>,
    explained: Arc<Explained>,
    tty: Option<Arc<Tty>>,
}

impl View {
    fn over(sink: Arc<dyn EventSink>) -> Self {
        let explained = Arc::new(Explained::new(sink));
        let sink = Arc::new(LastWords::new(Arc::<Explained>::clone(&explained)));
        Self {
            sink,
            explained,
            tty: None,
        }
    }

    /// What the step that failed wrote last.
    pub(crate) fn last_words(&self) -> String {
        self.sink.text()
    }

    /// Why steps ran, as far as it was told.
    pub(crate) fn explanations(&self) -> Vec<Explanation> {
        self.explained.list()
    }

    /// Where the events go.
    pub(crate) fn sink(&self) -> Arc<dyn EventSink> {
        Arc::<LastWords>::clone(&self.sink)
    }

    /// Draws the last state; nothing is drawn afterwards.
    pub(crate) fn finish(&self) {
        if let Some(tty) = &self.tty {
            tty.finish();
        }
    }
}
