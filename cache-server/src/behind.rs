//! What stands behind and above the directory of the program.

use acetate_cache_server::settings::Settings;
use acetate_cache_server::storage::Backing;
use acetate_cache_server::upstream::UpstreamConfig;
use anyhow::{Context, Result};

/// The bucket, with credentials from the environment.
pub(crate) fn backing(settings: &Settings) -> Result<Backing> {
    let Some(bucket) = &settings.storage else {
        return Ok(Backing::Nothing);
    };
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    bucket.open(environment).context("failed to use the bucket")
}

/// The server above, with the token in its file.
pub(crate) fn upstream(settings: &Settings) -> Result<Option<UpstreamConfig>> {
    let Some(url) = settings.upstream.clone() else {
        return Ok(None);
    };
    let token = match &settings.upstream_token_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("failed to read `{}`", path.display()))?;
            Some(text.trim().to_owned().into())
        }
    };
    Ok(Some(UpstreamConfig { url, token }))
}
