//! The validator of the SPDX project, where it is installed: `pip install spdx-tools`.

use crate::support::{everything, found, info};
use acetate_attest::sbom::{MemoryTree, document};
use serde_json::Value;
use std::process::Command;

/// What the validator says; `None` when it is not here.
fn verdict(name: &str, document: &Value) -> Option<Result<(), String>> {
    if Command::new("pyspdxtools").arg("--help").output().is_err() {
        eprintln!("skipped: `pyspdxtools` is not installed");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, document.to_string()).unwrap();
    let run = Command::new("pyspdxtools")
        .arg("-i")
        .arg(&path)
        .output()
        .unwrap();
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some(if run.status.success() {
        Ok(())
    } else {
        Err(said)
    })
}

#[test]
fn pyspdxtools_finds_documents_valid() {
    for (name, tree) in [("full", everything()), ("empty", MemoryTree::new())] {
        let document = document(&info(), &found(&tree));
        let verdict = verdict(&format!("{name}.spdx.json"), &document);
        assert_eq!(verdict.unwrap_or(Ok(())), Ok(()), "{name}");
    }
}

#[test]
fn pyspdxtools_would_have_said_no() {
    let mut document = document(&info(), &found(&everything()));
    document["packages"][1]["licenseDeclared"] = "No-Such-License".into();
    let verdict = verdict("bad.spdx.json", &document);
    assert!(verdict.is_none_or(|verdict| verdict.is_err()));
}
