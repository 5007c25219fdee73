//! Every number that bounds what the client does.

use std::time::Duration;

/// Says to which hosts plain `http:` may be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only to addresses of this machine.
    #[default]
    Loopback,
    /// To every host: the user asked for it by name.
    Anywhere,
}

/// Bounds of one client; the defaults suit registries and caches on ordinary networks.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest wait for a connection, name resolution and TLS included.
    pub connect_timeout: Duration,
    /// The longest silence between two reads of one answer, its head included.
    pub idle_timeout: Duration,
    /// How often a failed request is sent again; 0 means never.
    pub n_retries: u32,
    /// The wait before the first retry; it doubles with each.
    pub first_backoff: Duration,
    /// The longest wait between two tries. A server that asks for more by `Retry-After` is not
    /// waited for: its answer is given to the caller.
    pub longest_backoff: Duration,
    /// How many redirects of one request are followed.
    pub n_redirects: u32,
    /// Where plain HTTP is spoken.
    pub plain_http: PlainHttp,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            n_retries: 5,
            first_backoff: Duration::from_millis(200),
            longest_backoff: Duration::from_secs(20),
            n_redirects: 5,
            plain_http: PlainHttp::Loopback,
            user_agent: concat!("acetate/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
