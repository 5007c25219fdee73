//! Another server above this one: what is missing here is asked for there, and what is new here is
//! told there.
//!
//! It is never needed: whatever goes wrong with it is a miss here, and after a few failures in a row
//! it is left alone for a while, so that a dead one costs almost nothing.

mod breaker;
mod client;
mod forward;
mod reach;

pub use reach::Reach;

pub(crate) use client::{Found, OnlyNew, Upstream};
pub(crate) use forward::{Names, run};
pub(crate) use reach::HOPS;

use crate::storage::StorageError;
use acetate_net::Url;
use acetate_stdx::Redacted;
use std::str::FromStr;

/// Where another server is and what opens it.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Its address.
    pub url: UpstreamUrl,
    /// The token that is sent to it.
    pub token: Option<Redacted<String>>,
}

/// The address of another server: a scheme, a host and possibly a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl(Url);

impl FromStr for UpstreamUrl {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let setup = |reason: &str| StorageError::Setup(format!("the upstream {reason}"));
        let url = Url::parse(text).map_err(|error| setup(&format!("is no address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(setup("must be an http or https address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(setup(
                "holds a token in its address: give it by `--upstream-token-file`",
            ));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(setup(
                "is a server, not a namespace of one: give its address without a path",
            ));
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_server() {
        for good in ["http://region:8080", "https://cache.example/"] {
            assert!(good.parse::<UpstreamUrl>().is_ok(), "{good}");
        }
        for (text, part) in [
            ("region:8080", "must be an http or https address"),
            ("https://cache.example/org", "without a path"),
            ("https://x:secret@cache.example", "--upstream-token-file"),
            ("cache.example", "is no address"),
        ] {
            let error = text.parse::<UpstreamUrl>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
