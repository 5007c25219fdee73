//! What all measured programs have in common.

use std::path::Path;
use std::process::Command;

/// One build, of the `Dockerfile` in a context, that keeps its result in the tool's own store and
/// writes no output.
#[derive(Debug, Clone)]
pub(crate) struct Job<'a> {
    pub(crate) context: &'a Path,
    /// A build argument that makes every step that sees it run again.
    pub(crate) bust: Option<String>,
}

/// A program that builds Dockerfiles.
pub(crate) trait Tool {
    fn name(&self) -> &'static str;

    /// The command line of one build.
    fn build(&self, job: &Job<'_>) -> Command;

    /// Why a workload is left out with this tool.
    fn declines(&self, _workload: &str) -> Option<&'static str> {
        None
    }
}
