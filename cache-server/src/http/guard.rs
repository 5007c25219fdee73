use super::Failure;
use crate::App;
use crate::auth::{Access, Verdict};
use acetate_cache_api::Namespace;
use axum::http::{HeaderMap, header};

/// Lets a request through, or says why not.
pub(super) fn allow(
    app: &App,
    headers: &HeaderMap,
    namespace: &Namespace,
    access: Access,
) -> Result<(), Failure> {
    let verdict = verdict(app, headers, namespace, access);
    let failure = match verdict {
        Verdict::Allowed => return Ok(()),
        Verdict::Unknown => Failure::Unauthorized,
        Verdict::Forbidden => Failure::Forbidden,
    };
    app.metrics.refused.one();
    Err(failure)
}

/// The same as a value, for look-ups that go on elsewhere.
pub(super) fn verdict(
    app: &App,
    headers: &HeaderMap,
    namespace: &Namespace,
    access: Access,
) -> Verdict {
    let header = headers.get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    app.config.policy.decide(header, namespace, access)
}

/// The name in a `Host` header, without its port.
pub(super) fn host_name(host: &str) -> &str {
    if let Some(end) = host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return &host[1..=end];
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::host_name;

    #[test]
    fn ports_are_taken_off() {
        for (host, name) in [
            ("localhost:80", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("", ""),
        ] {
            assert_eq!(host_name(host), name, "{host}");
        }
    }
}
