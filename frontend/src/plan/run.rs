//! RUN.

use super::model::{RunStep, Script, StepAction};
use super::triggers::Item;
use super::walk::Walk;
use super::{created_by, globals, labels};
use crate::ast::{Heredoc, Run, RunCommand, RunNetwork};
use crate::diagnostic::Diagnostic;
use crate::request::PlanRequest;
use acetate_graph::NetworkMode;

/// The host name that steps see when nobody names another (S60).
const DEFAULT_HOSTNAME: &str = "buildkitsandbox";

/// The host name of RUN steps, if not the default.
pub(super) fn hostname(request: &PlanRequest) -> Option<String> {
    let argument = request.build_args.get("BUILDKIT_SANDBOX_HOSTNAME");
    let named = request.hostname.as_ref().or(argument);
    named
        .filter(|name| !name.is_empty() && *name != DEFAULT_HOSTNAME)
        .cloned()
}

/// What a RUN executes.
struct Program {
    argv: Vec<String>,
    script: Option<Script>,
    /// What the step's name says about a heredoc.
    suffix: String,
}

impl Program {
    fn plain(argv: Vec<String>) -> Self {
        Self {
            argv,
            script: None,
            suffix: String::new(),
        }
    }
}

impl Walk<'_, '_> {
    pub(super) fn run(&mut self, item: &Item<'_>, run: &Run) -> Result<(), Diagnostic> {
        let program = self.program(item, run)?;
        let network = match run.flags.network.as_ref().map(|network| network.value) {
            None | Some(RunNetwork::Default) => self.ctx.request.network,
            Some(RunNetwork::None) => NetworkMode::None,
            Some(RunNetwork::Host) => NetworkMode::Host,
        };
        let scope = &self.state.scope;
        let text = created_by::run(&self.args, scope, &program.argv);
        let step = RunStep {
            argv: program.argv,
            env: scope.to_env(),
            cwd: self.state.workdir(),
            user: self.state.config.config.user.clone(),
            network,
            proxy_env: globals::proxies(self.ctx.request, scope),
            script: program.script,
        };
        let created_by = format!("{text} # buildkit");
        self.step(item, &program.suffix, created_by, StepAction::Run(step));
        Ok(())
    }

    fn program(&self, item: &Item<'_>, run: &Run) -> Result<Program, Diagnostic> {
        Ok(match &run.command {
            RunCommand::Exec(words) => {
                Program::plain(words.iter().map(|word| word.value.clone()).collect())
            }
            RunCommand::Shell(text) => Program::plain(self.state.with_shell(&text.value)),
            RunCommand::ShellWithHeredocs { script, .. } => {
                Program::plain(self.state.with_shell(script))
            }
            RunCommand::Heredoc { word } => {
                let heredoc = item.instruction.heredocs.first().ok_or_else(|| {
                    Diagnostic::error("heredoc", "a heredoc without a body").at(word.span)
                })?;
                self.heredoc_program(heredoc)
            }
        })
    }

    /// A body that names its interpreter is a program of its own, any other is for the shell.
    fn heredoc_program(&self, heredoc: &Heredoc) -> Program {
        let suffix = format!(" ({})", labels::summary(&heredoc.content));
        if !heredoc.content.starts_with("#!") {
            let argv = self.state.with_shell(&heredoc.content);
            return Program {
                argv,
                script: None,
                suffix,
            };
        }
        let script = Script {
            name: heredoc.name.clone(),
            content: heredoc.content.clone(),
        };
        let argv = vec![format!("{}/{}", RunStep::SCRIPT_DIR, script.name)];
        Program {
            argv,
            script: Some(script),
            suffix,
        }
    }
}
