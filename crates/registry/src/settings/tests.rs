use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(text.as_bytes())
}

fn manner(settings: &str, host: &str) -> Manner {
    Manner::read(&parse(settings).unwrap(), &[], host).unwrap()
}

#[test]
fn every_key_is_read() {
    let settings = parse(
        r#"
        [registry."docker.io"]
        mirrors = ["m.example:5000", "http://n.example/a/b/", "https://o.example"]

        [registry."r.example:5000"]
        insecure = true
        http = false
        ca = "/ca.pem"
        cert = "/c.pem"
        key = "/k.pem"
        "#,
    )
    .unwrap();
    let mirrors = &settings.of("registry-1.docker.io").unwrap().mirrors;
    let read: Vec<_> = mirrors
        .iter()
        .map(|m| (m.scheme.as_deref(), m.host.as_str(), m.prefix.as_str()))
        .collect();
    assert_eq!(
        read,
        [
            (None, "m.example:5000", ""),
            (Some("http"), "n.example", "a/b/"),
            (Some("https"), "o.example", "")
        ]
    );
    let other = settings.of("r.example:5000").unwrap();
    assert!(other.insecure && other.http == Some(false));
    assert_eq!(other.key, Some(PathBuf::from("/k.pem")));
    assert_eq!(settings.of("r.example"), None);
}

#[test]
fn what_is_misspelt_is_refused() {
    for (text, words) in [
        ("[registry.\"a\"]\nmirror = []", "unknown field `mirror`"),
        ("[registries.\"a\"]", "unknown field `registries`"),
        ("[registry.\"a\"]\ncert = \"x\"", "need each other"),
        ("[registry.\"a/b\"]", "no HOST or HOST:PORT"),
        ("[registry.a]\nmirrors = [\"ftp://x\"]", "no scheme"),
        ("[registry.a]\nmirrors = [\"u:secret@x\"]", "written as"),
        ("[registry.a]\nmirrors = [\"x/../y\"]", "no name"),
        ("[registry.a]\nmirrors = [\"\"]", "written as"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    // TOML shows the line, so a secret can only be kept out of our own words.
    let error = Mirror::try_from("u:secret@x".to_owned()).unwrap_err();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn an_earlier_file_goes_before_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let (own, all) = (dir.path().join("own"), dir.path().join("all"));
    std::fs::write(&own, "[registry.a]\nhttp = true\n").unwrap();
    std::fs::write(&all, "[registry.a]\ninsecure = true\n[registry.b]\n").unwrap();
    let settings = Settings::read(&[dir.path().join("none"), own.clone(), all]).unwrap();
    assert!(!settings.registries["a"].insecure && settings.registries["a"].http == Some(true));
    assert!(settings.registries.contains_key("b"));
    std::fs::write(&own, "registry = 3").unwrap();
    let error = Settings::read(std::slice::from_ref(&own)).unwrap_err();
    assert!(error.to_string().contains("own`"), "{error}");
}

#[test]
fn schemes_follow_from_place_and_settings() {
    for (settings, host, scheme) in [
        ("", "r.example", "https"),
        ("", "localhost:5000", "http"),
        ("", "[::1]:5000", "http"),
        ("", "10.0.0.1:80", "https"),
        ("[registry.\"r.example\"]\nhttp = true", "r.example", "http"),
        (
            "[registry.\"r.example\"]\nhttp = true",
            "r.example:1",
            "https",
        ),
        (
            "[registry.\"localhost:1\"]\nhttp = false",
            "localhost:1",
            "https",
        ),
        (
            "[registry.\"localhost:1\"]\ninsecure = true",
            "localhost:1",
            "https",
        ),
    ] {
        assert_eq!(manner(settings, host).scheme, scheme, "{host}: {settings}");
    }
    assert!(manner("", "r.example").trust.is_none());
}

#[test]
fn dockers_directory_of_certificates_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("localhost:5000");
    std::fs::create_dir(&host).unwrap();
    for name in ["b.crt", "a.crt", "client.cert", "client.key", "README"] {
        std::fs::write(host.join(name), name).unwrap();
    }
    let directories = [dir.path().to_owned()];
    let read = |host: &str| Manner::read(&Settings::default(), &directories, host);
    let manner = read("localhost:5000").unwrap();
    assert_eq!(manner.scheme, "https");
    let trust = manner.trust.unwrap();
    assert_eq!(trust.authorities, [b"a.crt".to_vec(), b"b.crt".to_vec()]);
    let identity = trust.identity.unwrap();
    assert_eq!(identity.key.expose(), b"client.key");
    assert!(!format!("{identity:?}").contains("99, 108, 105, 101, 110, 116, 46, 107"));
    assert_eq!(read("localhost:5001").unwrap().scheme, "http");
    assert_eq!(read("../x").unwrap().scheme, "https");
    std::fs::remove_file(host.join("client.key")).unwrap();
    let error = read("localhost:5000").unwrap_err().to_string();
    assert!(error.contains("client.key"), "{error}");
}
