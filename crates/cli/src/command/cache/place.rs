//! The state directory, and the caches that flags name.

use super::print;
use crate::cache_flag;
use crate::cache_token;
use crate::command::runtime;
use crate::environment::Environment;
use crate::failure::Failure;
use acetate_engine::cache_tools::CacheServer;
use acetate_engine::{BuildError, BuildRequest, CacheExport, CacheImport, ContextInput, Engine};
use anyhow::{Result, anyhow};
use std::path::{Path, PathBuf};

/// What the commands work on.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) root: &'a Path,
    pub(super) env: &'a Environment,
}

impl Site<'_> {
    pub(super) fn engine(&self) -> Result<Engine, BuildError> {
        let engine = Engine::open(self.root, &self.env.search_path)?;
        let engine = engine.with_environment(self.env.for_fetching());
        engine.with_registries(&self.env.for_registries())
    }

    /// The cache that a flag names to be read or asked.
    pub(super) fn import(&self, flag: &str, text: &str) -> Result<CacheImport> {
        let mut request = no_build();
        request.cache_from = vec![cache_flag::place_from(flag, text, self.env)?];
        self.tokens(&mut request)?;
        let import = request.cache_from.pop();
        import.ok_or_else(|| anyhow!("{flag} names no cache"))
    }

    /// The cache that a flag names to be written.
    pub(super) fn export(&self, flag: &str, text: &str) -> Result<CacheExport> {
        let mut request = no_build();
        request.cache_to = vec![cache_flag::place_to(flag, text, self.env)?];
        self.tokens(&mut request)?;
        let export = request.cache_to.pop();
        export.ok_or_else(|| anyhow!("{flag} names no cache"))
    }

    fn tokens(&self, request: &mut BuildRequest) -> Result<()> {
        let env = self.env;
        let warnings = cache_token::fill(request, env, |helper, url| {
            runtime::block_on(|cancel| async move {
                acetate_engine::cache_credential(&env.search_path, helper, url, &cancel).await
            })
        })?;
        for warning in warnings {
            print::note(&format!("WARNING: {warning}"));
        }
        Ok(())
    }

    /// Asks the server of `--remote`; an interrupt ends that.
    pub(super) fn ask<T>(
        &self,
        import: &CacheImport,
        work: impl AsyncFnOnce(CacheServer<'_>) -> Result<T, BuildError>,
    ) -> Result<T, Failure> {
        self.wait(async |engine| work(engine.cache_server(import).await?).await)
    }

    /// Does async work on the state directory; an interrupt ends it.
    pub(super) fn wait<T>(
        &self,
        work: impl AsyncFnOnce(&Engine) -> Result<T, BuildError>,
    ) -> Result<T, Failure> {
        let engine = self.engine()?;
        let done = runtime::block_on(|cancel| async {
            let cancel = cancel;
            tokio::select! {
                done = work(&engine) => done,
                () = cancel.cancelled() => Err(BuildError::Cancelled),
            }
        })?;
        Ok(done?)
    }
}

/// A request that only names caches, which is where tokens are filled in.
fn no_build() -> BuildRequest {
    BuildRequest::new(ContextInput::Directory(PathBuf::new()))
}
