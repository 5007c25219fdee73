use super::Failure;
use crate::App;
use crate::auth::{Access, Caller, Verdict};
use acetate_cache_api::Namespace;
use axum::http::Extensions;

/// Lets a request through, or says why not.
pub(super) fn allow(
    app: &App,
    caller: &Caller,
    namespace: &Namespace,
    access: Access,
) -> Result<(), Failure> {
    let failure = match caller.decide(namespace, access) {
        Verdict::Allowed => return Ok(()),
        Verdict::Unknown => Failure::Unauthorized,
        Verdict::Forbidden => Failure::Forbidden,
    };
    app.metrics.refused.one();
    Err(failure)
}

/// Who sent the request, as was found out before.
pub(super) fn caller(extensions: &Extensions) -> Caller {
    extensions.get::<Caller>().cloned().unwrap_or_default()
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
