//! COPY, ADD, WORKDIR and heredocs on real snapshots: what is in the layer that they make.
//!
//! Every file in `cases` holds blocks of text: what is there, what is done, and the layer as its tar
//! says it. Each block runs over both drivers. `UPDATE_EXPECT=1` writes what came out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of tests as tests"
)]

mod archive;
mod case;
mod fixture;
mod listing;
mod mounted;
mod tree;
mod world;

use world::World;

fn check(name: &str) {
    let path = format!(
        "{}/tests/golden/cases/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap();
    let cases = case::parse(&text);
    let titles: std::collections::BTreeSet<&str> =
        cases.iter().map(|case| case.title.as_str()).collect();
    assert_eq!(titles.len(), cases.len(), "two cases have one title");
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let worlds = World::both();
    let shown: Vec<String> = cases
        .iter()
        .map(|case| {
            let [overlay, copy] = worlds.each_ref().map(|world| fixture::run(world, case));
            assert_eq!(overlay, copy, "the drivers differ: {}", case.title);
            overlay
        })
        .collect();
    expect_test::expect_file![path].assert_eq(&shown.concat());
}

#[test]
fn s32_to_s40_places() {
    check("places");
}

#[test]
fn s33_to_s37_owners_and_modes() {
    check("owners");
}

#[test]
fn s41_to_s43_links_and_collisions() {
    check("links");
}

#[test]
fn s44_to_s46_wildcards() {
    check("wildcards");
}

#[test]
fn s47_parents() {
    check("parents");
}

#[test]
fn s48_excludes() {
    check("excludes");
}

#[test]
fn s49_to_s53_kinds_and_attributes() {
    check("kinds");
}

#[test]
fn s55_to_s57_archives() {
    check("archives");
}

#[test]
fn s55_hostile_archives() {
    check("hostile");
}

#[test]
fn s59_names() {
    check("names");
}

#[test]
fn there_are_enough_cases() {
    let dir = format!("{}/tests/golden/cases", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(dir).unwrap();
    let n_cases: usize = files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|text| case::parse(&text).len())
        .sum();
    assert!(n_cases >= 150, "{n_cases}");
}
