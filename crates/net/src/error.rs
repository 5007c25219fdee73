//! What can go wrong between a request and the last byte of its answer.

/// A request that brought no usable answer; addresses in it hold no credentials.
///
/// A status such as 404 is an answer, not an error: see [`crate::Response::status`].
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The text is not an address.
    #[error("read the address `{text}`: {reason}")]
    Address {
        /// The text, without what could be a credential.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Only `https:` and `http:` are spoken.
    #[error("speak `{scheme}` to `{url}`: only http and https are known")]
    Scheme {
        /// The scheme found.
        scheme: String,
        /// The address asked for.
        url: String,
    },
    /// Plain HTTP to another machine was not allowed.
    #[error("speak plain http to `{url}`: allowed for loopback addresses only")]
    PlainHttp {
        /// The address asked for.
        url: String,
    },
    /// A redirect that leads nowhere, too far, or from https to http.
    #[error("follow the redirect of `{url}`: {reason}")]
    Redirect {
        /// The address that redirected.
        url: String,
        /// Why it was not followed.
        reason: String,
    },
    /// No connection, or none that carried an answer; all retries are spent.
    #[error("reach `{url}` ({}): {reason}", tries(*n_tries))]
    Unreachable {
        /// The address asked for.
        url: String,
        /// How often it was tried.
        n_tries: u32,
        /// The innermost cause.
        reason: String,
        /// The client's own error; no source, since its layers say the same in other words.
        cause: reqwest::Error,
    },
    /// The body stopped before its end: a reset, a silence, or fewer bytes than announced.
    #[error("read the answer of `{url}` after {n_bytes} bytes: {reason}")]
    Interrupted {
        /// The address asked for.
        url: String,
        /// The bytes that had arrived.
        n_bytes: u64,
        /// The innermost cause.
        reason: String,
        /// The client's own error, if it was not the time limit.
        cause: Option<reqwest::Error>,
    },
    /// The body is larger than the caller allows.
    #[error("read the answer of `{url}`: larger than the limit of {limit} bytes")]
    TooLarge {
        /// The address asked for.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The server took no more of the body, or did not answer after it.
    #[error("send to `{url}`: nothing moved for too long after {n_bytes} bytes")]
    Stalled {
        /// The address asked for.
        url: String,
        /// The bytes that had been taken.
        n_bytes: u64,
    },
    /// The body to send could not be read.
    #[error("send to `{url}`: the bytes to send could not be read: {reason}")]
    Body {
        /// The address asked for.
        url: String,
        /// The cause.
        reason: String,
    },
    /// TLS could not be set up, for example because no root certificates are installed.
    #[error("set up the http client: {reason}")]
    Setup {
        /// The cause.
        reason: String,
    },
}

impl NetError {
    /// Whether the same request may succeed when it is sent again.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Stalled { .. }
        )
    }
}

/// The innermost cause of an error: the outer ones say no more than "error sending request".
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn tries(n: u32) -> String {
    match n {
        1 => "1 try".to_owned(),
        n => format!("{n} tries"),
    }
}
