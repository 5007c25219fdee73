use acetate_attest::scanner::{CORE, Mounted, OutputError, OutputFile, collect, plan};
use acetate_attest::{StatementVersion, Subject};
use acetate_oci::{ContainerConfig, Digest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn config() -> ContainerConfig {
    ContainerConfig {
        entrypoint: Some(vec!["/scan".to_owned()]),
        cmd: Some(vec!["-v".to_owned()]),
        env: vec!["PATH=/bin".to_owned()],
        ..ContainerConfig::default()
    }
}

#[test]
fn a_scanner_sees_the_protocols_variables_and_mounts() {
    let parameters = BTreeMap::from([("X".to_owned(), "y".to_owned())]);
    let extras = ["context".to_owned(), "build".to_owned()];
    let plan = plan("img", &config(), &extras, &parameters).unwrap();
    assert_eq!(plan.argv, ["/scan", "-v"]);
    assert_eq!(plan.cwd, "/");
    assert_eq!(
        plan.env,
        [
            "PATH=/bin",
            "BUILDKIT_SCAN_DESTINATION=/run/out/",
            "BUILDKIT_SCAN_SOURCE=/run/src/core/sbom",
            "BUILDKIT_SCAN_SOURCE_EXTRAS=/run/src/extras",
            "BUILDKIT_SCAN_X=y",
        ]
    );
    let mounts: Vec<(&str, &Mounted)> = plan
        .mounts
        .iter()
        .map(|mount| (mount.target.as_str(), &mount.source))
        .collect();
    assert_eq!(
        mounts,
        [
            ("/tmp", &Mounted::Tmpfs),
            ("/run/src/core/sbom", &Mounted::Core),
            (
                "/run/src/extras/sbom-build",
                &Mounted::Extra("build".to_owned())
            ),
            (
                "/run/src/extras/sbom-context",
                &Mounted::Extra("context".to_owned())
            ),
            ("/run/out/", &Mounted::Output),
        ]
    );
}

#[test]
fn without_extras_the_variable_is_not_set() {
    let plan = plan("img", &config(), &[], &BTreeMap::new()).unwrap();
    assert!(plan.env.iter().all(|line| !line.contains("EXTRAS")));
}

#[test]
fn what_cannot_be_run_is_said() {
    let none = plan("img", &ContainerConfig::default(), &[], &BTreeMap::new()).unwrap_err();
    assert_eq!(
        none.to_string(),
        "scanner `img` has neither ENTRYPOINT nor CMD; name an image that is an SBOM scanner"
    );
    let bad = plan("img", &config(), &["a/../b".to_owned()], &BTreeMap::new()).unwrap_err();
    assert!(bad.to_string().starts_with("`a/../b` cannot be scanned"));
}

fn file(path: &str, value: &Value) -> OutputFile {
    OutputFile {
        path: path.to_owned(),
        bytes: value.to_string().into_bytes(),
    }
}

fn spdx(name: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://spdx.dev/Document",
        "predicate": { "spdxVersion": "SPDX-2.3", "name": name },
    })
}

#[test]
fn the_scan_of_the_result_comes_first() {
    let mut cyclone = spdx("c");
    cyclone["predicateType"] = json!("https://cyclonedx.org/bom");
    let collected = collect(vec![
        file("sbom-build.spdx.json", &spdx("b")),
        file("log.txt", &json!(null)),
        file("a.cdx.json", &cyclone),
        file("sbom.spdx.json", &spdx("core")),
        file("below/sbom.spdx.json", &spdx("no")),
    ]);
    let collected = collected.unwrap();
    let names: Vec<&str> = collected
        .scans
        .iter()
        .map(|scan| scan.name.as_str())
        .collect();
    assert_eq!(names, ["sbom.spdx", "a.cdx", "sbom-build.spdx"]);
    assert_eq!(collected.ignored, ["below/sbom.spdx.json", "log.txt"]);
    assert!(names[0].starts_with(CORE));
    let subject = [Subject::nameless(Digest::of(b"image"))];
    let statement = collected.scans[0].statement(StatementVersion::V1, &subject);
    assert_eq!(statement.subject, subject);
    assert_eq!(statement.predicate["name"], "core");
}

#[test]
fn a_scan_may_name_its_own_subject() {
    let mut own = spdx("core");
    own["subject"] = json!([{ "name": "x", "digest": { "sha256": "ab" } }]);
    let scan = collect(vec![file("sbom.spdx.json", &own)])
        .unwrap()
        .scans
        .remove(0);
    let other = [Subject::nameless(Digest::of(b"image"))];
    assert_eq!(
        scan.statement(StatementVersion::V1, &other).subject[0].name,
        "x"
    );
}

#[test]
fn output_that_breaks_the_protocol_is_refused() {
    let changed = |name: &str, value: Value| {
        let mut statement = spdx("x");
        statement[name] = value;
        collect(vec![file("sbom.spdx.json", &statement)])
            .unwrap_err()
            .to_string()
    };
    for (name, value, wanted) in [
        (
            "_type",
            json!("x"),
            "scan `sbom.spdx.json` is no in-toto statement: `_type` is not an in-toto statement's",
        ),
        (
            "predicateType",
            json!(null),
            "scan `sbom.spdx.json` is no in-toto statement: it has no `predicateType`",
        ),
        (
            "predicateType",
            json!("https://slsa.dev/provenance/v1"),
            "scan `sbom.spdx.json` has predicate type `https://slsa.dev/provenance/v1`; a scanner may write `https://spdx.dev/Document`",
        ),
        (
            "predicate",
            json!({}),
            "scan `sbom.spdx.json` has no SPDX document in it: `spdxVersion` is missing",
        ),
        (
            "predicate",
            json!({"spdxVersion": "3"}),
            "scan `sbom.spdx.json` has no SPDX document in it: `spdxVersion` is not `SPDX-2.2` or `SPDX-2.3`",
        ),
    ] {
        assert_eq!(changed(name, value), wanted);
    }
    assert_eq!(collect(Vec::new()), Err(OutputError::Nothing));
    let mut two = file("sbom.spdx.json", &spdx("x"));
    two.bytes.extend_from_slice(b"{}");
    assert!(matches!(
        collect(vec![two]),
        Err(OutputError::NoStatement { .. })
    ));
    let large = OutputFile {
        path: "sbom.spdx.json".to_owned(),
        bytes: vec![b' '; (80 << 20) + 1],
    };
    assert_eq!(
        collect(vec![large]),
        Err(OutputError::TooLarge("sbom.spdx.json".to_owned()))
    );
    let many = (0..1001)
        .map(|n| file(&format!("{n}.spdx.json"), &spdx("x")))
        .collect();
    assert_eq!(collect(many), Err(OutputError::TooMany));
}
