//! Docker's contexts: engines that have a name in the directory of docker's settings.

use super::endpoint::Endpoint;
use super::tls::{Tls, optional};
use crate::BuildError;
use acetate_net::Verify;
use acetate_oci::Digest;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The name of no context: what there is without one.
pub(super) const DEFAULT: &str = "default";

/// `config.json`, of which only this matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    current_context: Option<String>,
}

/// `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Docker>,
}

#[derive(Deserialize)]
struct Docker {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_verify: bool,
}

/// The context that `docker context use` chose, if it did.
pub(super) fn current(settings: &Path) -> Result<Option<String>, BuildError> {
    let path = settings.join("config.json");
    let Some(bytes) = optional(&path)? else {
        return Ok(None);
    };
    let config: Config = parsed(&path, &bytes)?;
    Ok(config.current_context.filter(|name| !name.is_empty()))
}

/// Where the engine of a context is. `named_by` is what chose the context.
pub(super) fn endpoint(
    settings: &Path,
    name: &str,
    named_by: &str,
) -> Result<Endpoint, BuildError> {
    // Names may hold anything, so that docker makes digests of them.
    let id = Digest::of(name.as_bytes()).hex();
    let path = settings.join("contexts/meta").join(&id).join("meta.json");
    let Some(bytes) = optional(&path)? else {
        return Err(missing(name, named_by, &path));
    };
    let meta: Meta = parsed(&path, &bytes)?;
    let docker = meta.endpoints.docker.filter(|it| !it.host.is_empty());
    let Some(docker) = docker else {
        return Err(BuildError::request_with(
            format!(
                "docker's context `{name}` has no endpoint of docker with a host: `{}`",
                path.display()
            ),
            "see `docker context inspect`, or set DOCKER_HOST",
        ));
    };
    let certificates: PathBuf = settings.join("contexts/tls").join(&id).join("docker");
    Endpoint::named(&format!("docker's context `{name}`"), &docker.host, || {
        let verify = if docker.skip_verify {
            Verify::Never
        } else {
            Verify::Strictly
        };
        let tls = Tls::read(&certificates, verify)?;
        // A context with nothing about TLS is one without it.
        Ok((docker.skip_verify || !tls.is_empty()).then_some(tls))
    })
}

fn missing(name: &str, named_by: &str, path: &Path) -> BuildError {
    BuildError::request_with(
        format!(
            "{named_by} names docker's context `{name}`, which is not at `{}`",
            path.display()
        ),
        "see `docker context ls`, and whether DOCKER_CONFIG is the directory that docker uses; \
         DOCKER_HOST needs no context",
    )
}

fn parsed<'a, T: Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T, BuildError> {
    serde_json::from_slice(bytes).map_err(|error| {
        BuildError::request_with(
            format!("failed to read `{}`: {error}", path.display()),
            "repair the file, or set DOCKER_HOST",
        )
    })
}
