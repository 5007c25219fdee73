//! `acetate run`.

use crate::command::runtime;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::RunFlags;
use crate::request;
use acetate_engine::{Engine, RunRequest};
use std::path::Path;
use std::process::ExitCode;

/// Runs a command in a throw-away container and ends with its exit code.
pub(crate) fn run(root: &Path, flags: RunFlags, env: &Environment) -> Result<ExitCode, Failure> {
    let request = RunRequest {
        image: flags.image,
        command: flags.command,
        network: request::network(&flags.network)?,
        isolation: request::isolation(&flags.isolation)?,
    };
    let code = runtime::block_on(|cancel| async move {
        let engine = Engine::open(root, &env.search_path)?;
        let engine = engine.with_registries(&env.for_registries())?;
        engine.run(request, cancel).await
    })??;
    Ok(ExitCode::from(code))
}
