//! Judges addresses: which are on this machine, which share an origin, how they may be shown.

use std::net::IpAddr;

use reqwest::Url;

use crate::NetError;
use crate::limits::PlainHttp;

/// Whether `host` (without port; an IPv6 address may stand in brackets) names this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
            }
        })
}

/// The address as it may be logged: without user, password, query and fragment.
pub fn shown(url: &Url) -> String {
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let query = if url.query().is_some() { "?..." } else { "" };
    format!("{scheme}://{host}{port}{}{query}", url.path())
}

/// Whether credentials for `a` may be sent to `b`.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Refuses schemes that are not HTTP, and plain HTTP where it is not allowed.
pub(crate) fn check(url: &Url, plain: PlainHttp) -> Result<(), NetError> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if plain == PlainHttp::Anywhere => Ok(()),
        "http" if url.host_str().is_some_and(is_loopback) => Ok(()),
        "http" => Err(NetError::PlainHttp { url: shown(url) }),
        other => Err(NetError::Scheme {
            scheme: other.to_owned(),
            url: shown(url),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_hosts() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.9.8.7",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        assert!(is_loopback("::ffff:127.0.0.1"));
        for host in [
            "",
            "10.0.0.1",
            "localhost.example",
            "127.0.0.1.example",
            "0.0.0.0",
            "::",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn shown_address_has_no_secrets() {
        let text = shown(&url("https://user:pass@example.com:8443/v2/a?sig=abc#frag"));
        assert_eq!(text, "https://example.com:8443/v2/a?...");
    }

    #[test]
    fn origins_compare_scheme_host_and_port() {
        let base = url("https://a.example/x");
        assert!(same_origin(&base, &url("https://a.example:443/y")));
        assert!(!same_origin(&base, &url("http://a.example/x")));
        assert!(!same_origin(&base, &url("https://a.example:444/x")));
        assert!(!same_origin(&base, &url("https://b.example/x")));
    }

    #[test]
    fn plain_http_is_for_loopback() {
        assert!(check(&url("http://127.0.0.1:5000/"), PlainHttp::Loopback).is_ok());
        assert!(check(&url("https://a.example/"), PlainHttp::Loopback).is_ok());
        assert!(check(&url("http://a.example/"), PlainHttp::Anywhere).is_ok());
        assert!(matches!(
            check(&url("http://a.example/"), PlainHttp::Loopback),
            Err(NetError::PlainHttp { .. })
        ));
        assert!(matches!(
            check(&url("file:///etc/passwd"), PlainHttp::Anywhere),
            Err(NetError::Scheme { .. })
        ));
    }
}
