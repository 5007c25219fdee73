use super::names::NAMES;
use super::*;

#[test]
fn a_file_says_all_that_flags_can_say() {
    let text = r#"
        listen = "0.0.0.0:9090"
        dir = "/srv/cache"           # a comment
        auth = "tokens"
        anonymous = ["public:read", "mirror:read"]
        insecure-open = false
        tls-cert = "c.pem"
        tls-key = "k.pem"
        tls-client-ca = "ca.pem"
        max-size = "200GiB"
        opaque = ["ccache", "team/ccache"]
        raw = ["sccache"]
        lru = true
        no-sync = true
        max-connections = 9
        max-uploads = 8
        max-upload-size = "1G"
        min-rate = 512
        storage = "s3://fleet/cache"
        upstream = "https://region.example"
        upstream-token-file = "up"

        [[certificate]]
        names = { dns = "runner-{n}.ci.example" }
        scope = "org:write"

        [[oidc]]
        issuer = "https://ci.example"
        audience = "https://cache.example"

        [[oidc.rule]]
        claims = { repository = "org/*", ref = "refs/heads/main" }
        scope = "{repository}:write"
    "#;
    let settings = Settings::parse(text).unwrap();
    let named: toml::Table = text.parse().unwrap();
    let named: Vec<&str> = named.keys().map(String::as_str).collect();
    assert_eq!(named, NAMES, "all of them are tried here");
    assert_eq!(settings.trust().issuers[0].audience.len(), 1);
    assert_eq!(settings.trust().certificates.len(), 1);
    assert_eq!(settings.max_size, Some(200 << 30));
    assert_eq!(settings.opaque().len(), 2);
    assert_eq!(settings.anonymous.as_ref().unwrap().len(), 2);
    assert_eq!(settings.limits().upload_bytes, 1 << 30);
    assert!(matches!(settings.durability(), Durability::Fast));
    let flags = Settings {
        lru: Some(false),
        insecure_open: Some(true),
        ..Settings::default()
    };
    let both = flags.or(settings.clone()).unwrap();
    assert_eq!((both.lru, both.auth), (Some(false), None));
    assert_eq!(both.max_size, settings.max_size);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, error) in [
        (
            "max_size = 3",
            "unknown setting `max_size`; did you mean `max-size`?",
        ),
        (
            "lisen = 'x'",
            "unknown setting `lisen`; did you mean `listen`?",
        ),
        ("colour = 'red'", "unknown setting `colour`"),
    ] {
        assert_eq!(Settings::parse(text).unwrap_err().to_string(), error);
    }
    for (text, part) in [
        ("max-size = '3 elephants'", "`3 elephants` is no size"),
        ("anonymous = ['a:look']", "`a:look` is no scope"),
        ("opaque = ['a/../b']", "`..` cannot be part of a namespace"),
        ("storage = 'ftp://fleet'", "must begin with `s3://`"),
        ("upstream = 'region'", "the upstream is no address"),
        ("listen", "line 1"),
        (
            "[[oidc]]\nissuer = 'https://a.example'\naudience = []",
            "has no audience",
        ),
        (
            "[[oidc]]\nissuer = 'https://a.example'\naudience = 'b'",
            "has no rule",
        ),
        (
            "[[oidc]]\nissuer = 'http://a.example'\naudience = 'b'\n\
             rule = [{ claims = { sub = 'x' }, scope = 'a:read' }]",
            "is no https address",
        ),
        (
            "[[oidc]]\nissuer = 'https://a.example'\naudience = 'b'\n\
             rule = [{ claims = { sub = 'x' }, scope = '{sub_}:read' }]",
            "the scope uses `{sub_}`",
        ),
    ] {
        let error = Settings::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let or = |text: &str| {
        let settings = Settings::default().or(Settings::parse(text).unwrap());
        settings.unwrap_err().to_string()
    };
    assert!(or("raw = ['']").contains("needs the name"));
    assert!(or("tls-cert = 'c'").contains("need each other"));
    assert!(or("upstream-token-file = 't'").contains("needs `upstream`"));
    assert!(or("auth = 'a'\ninsecure-open = true").contains("asks for no token"));
    let tls = "tls-cert = 'c'\ntls-key = 'k'\n";
    let rule = "[[certificate]]\nnames = { dns = 'a' }\nscope = 'a:read'\n";
    assert!(or("tls-client-ca = 'a'").contains("needs `tls-cert`"));
    assert!(or(&format!("{tls}{rule}")).contains("needs `tls-client-ca`"));
    let name = rule.replace("dns", "mail");
    let clients = format!("{tls}tls-client-ca = 'a'\n{name}");
    assert!(or(&clients).contains("asks for `mail`"));
    let issuer = "[[oidc]]\nissuer = 'https://a.example'\naudience = 'b'\n\
                  [[oidc.rule]]\nclaims = { sub = 'x' }\nscope = 'a:read'\n";
    assert!(or(&issuer.repeat(2)).contains("is there twice"));
}
