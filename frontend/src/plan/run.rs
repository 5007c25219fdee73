//! RUN.

use super::model::{RunStep, Script, StepAction};
use super::triggers::Item;
use super::walk::Walk;
use super::{created_by, devices, globals, labels};
use crate::ast::{Heredoc, Run, RunCommand, RunFlags, RunNetwork, RunSecurity};
use crate::diagnostic::Diagnostic;
use crate::request::{Entitlement, PlanRequest};
use crate::span::Span;
use acetate_graph::{NetworkMode, SecurityMode};

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
        let network = self.network(item, &run.flags)?;
        let security = self.security(&run.flags)?;
        let devices = devices::of_run(&run.flags.devices, self.ctx.request)?;
        let mounts = self.mounts(item, &run.flags.mounts)?;
        let created_by = created_by::run(self.shown_args(), &program.argv);
        let scope = &self.state.scope;
        let mut env = scope.env();
        if let Some(socket) = mounts
            .agent
            .filter(|_| scope.value("SSH_AUTH_SOCK").is_none())
        {
            let line = format!("SSH_AUTH_SOCK={socket}").into();
            env = env.iter().cloned().chain([line]).collect();
        }
        let name = self.masked_name(item, &mounts.secret_env);
        let step = RunStep {
            argv: program.argv,
            env,
            cwd: self.state.workdir(),
            user: self.state.config.config.user.clone(),
            network,
            security,
            proxy_env: globals::proxies(self.ctx.request, scope),
            script: program.script,
            mounts: mounts.list,
            secret_env: mounts.secret_env,
            devices,
        };
        let name = format!("{name}{}", program.suffix);
        self.step(item, &name, created_by, StepAction::Run(step));
        Ok(())
    }

    fn network(&self, item: &Item<'_>, flags: &RunFlags) -> Result<NetworkMode, Diagnostic> {
        let request = self.ctx.request;
        let (network, what, span) = match &flags.network {
            Some(flag) if flag.value == RunNetwork::None => return Ok(NetworkMode::None),
            Some(flag) if flag.value == RunNetwork::Host => {
                (NetworkMode::Host, "RUN --network=host", flag.span)
            }
            _ => (request.network, "--network=host", item.instruction.span),
        };
        if network == NetworkMode::Host {
            require(request, &Entitlement::NetworkHost, what, span)?;
        }
        Ok(network)
    }

    fn security(&self, flags: &RunFlags) -> Result<SecurityMode, Diagnostic> {
        match &flags.security {
            Some(flag) if flag.value == RunSecurity::Insecure => {
                let what = "RUN --security=insecure";
                let wanted = Entitlement::SecurityInsecure;
                require(self.ctx.request, &wanted, what, flag.span)?;
                Ok(SecurityMode::Insecure)
            }
            _ => Ok(SecurityMode::Sandbox),
        }
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
        let path = format!("{}/{}", RunStep::SCRIPT_DIR, script.name);
        let argv = self.state.with_shell(&path);
        Program {
            argv,
            script: Some(script),
            suffix,
        }
    }
}

/// Refuses what was not granted with `--allow`.
pub(super) fn require(
    request: &PlanRequest,
    wanted: &Entitlement,
    what: &str,
    span: Span,
) -> Result<(), Diagnostic> {
    if request.allows(wanted) {
        return Ok(());
    }
    let message = format!("`{what}` needs the entitlement {wanted}");
    Err(Diagnostic::error("missing-entitlement", message)
        .at(span)
        .with_hint(format!("build with `--allow {wanted}`")))
}
