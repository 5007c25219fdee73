//! The corpus of Dockerfiles, beside what BuildKit makes of them.

use acetate_tests::differential::{Against, Case, Verdict, corpus, findings, folder, run};
use acetate_tests::{have, needs_root};
use std::collections::BTreeSet;
use std::path::Path;

/// Builds all cases of a group and compares them with what is kept of BuildKit.
fn group(name: &str) {
    if needs_root() || needs_machine() || !TOOLS.iter().all(|tool| have(tool)) {
        return;
    }
    let cases: Vec<Case> = corpus()
        .into_iter()
        .filter(|case| case.group() == name)
        .collect();
    assert!(!cases.is_empty(), "there is no group `{name}`");
    let results = run(&cases, Against::Goldens);
    let fine = results.iter().all(|(_, verdict)| verdict.is_fine());
    assert!(fine, "{}", findings(&results));
}

/// What makes the archives and repositories of the cases.
const TOOLS: &[&str] = &["git", "tar", "gzip", "bzip2", "xz", "zstd"];

/// The outcomes name the platform that they were made on.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
fn needs_machine() -> bool {
    let other = std::env::consts::ARCH != "x86_64";
    if other {
        eprintln!("skipped: needs x86_64, which the kept outcomes are of");
    }
    other
}

#[test]
fn files_of_servers_and_archives() {
    group("add");
}

#[test]
fn configs_and_histories() {
    group("config");
}

#[test]
fn contexts_and_ignore_files() {
    group("contexts");
}

#[test]
fn copied_files() {
    group("copy");
}

#[test]
fn inline_files() {
    group("heredocs");
}

#[test]
fn mounts() {
    group("mounts");
}

#[test]
fn triggers() {
    group("onbuild");
}

#[test]
fn steps() {
    group("run");
}

#[test]
fn syntax_and_variables() {
    group("variables");
}

#[test]
fn every_group_is_run() {
    let groups: BTreeSet<String> = corpus()
        .iter()
        .map(|case| case.group().to_owned())
        .collect();
    let this = include_str!("differential.rs");
    for group in groups {
        assert!(this.contains(&format!("group(\"{group}\")")), "{group}");
    }
}

#[test]
fn reasons_are_headings_of_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let page = std::fs::read_to_string(page).unwrap();
    let slug = |heading: &str| heading.to_lowercase().replace(' ', "-");
    let headings: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(slug)
        .collect();
    for case in corpus() {
        if let Some(reason) = &case.expected {
            assert!(headings.contains(reason), "{}: `{reason}`", case.name);
        }
    }
}

#[test]
fn outcomes_are_kept_for_every_case_and_no_other() {
    let mut wanted = BTreeSet::new();
    for case in corpus() {
        wanted.insert(case.beside("case"));
        wanted.insert(case.beside("golden"));
        if case.expected.is_some() {
            wanted.insert(case.beside("acetate"));
        }
    }
    let mut found = BTreeSet::new();
    for group in std::fs::read_dir(folder()).unwrap() {
        let group = group.unwrap().path();
        for file in std::fs::read_dir(group).unwrap() {
            found.insert(file.unwrap().path());
        }
    }
    assert_eq!(found, wanted);
}

/// A comparison that finds nothing proves nothing: one made-up outcome must be told apart.
#[test]
fn a_wrong_outcome_is_found() {
    if needs_root() || needs_machine() {
        return;
    }
    let mut case = corpus()
        .into_iter()
        .find(|case| case.name == "copy/same-twice")
        .unwrap();
    case.files[0].text = case.files[0].text.replace("/b", "/other");
    let results = run(&[case], Against::Goldens);
    let Verdict::Different(text) = &results[0].1 else {
        panic!("{:?}", results[0].1);
    };
    assert!(text.contains("+ -0644 0:0 other"), "{text}");
    assert!(text.contains("- -0644 0:0 b"), "{text}");
}
