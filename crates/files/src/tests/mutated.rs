//! ADD on archives that nobody packed: they are unpacked or refused, and stay in their place.

use super::{Case, archive::packed, listing};
use acetate_graph::Archives;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

/// Unpacks bytes into `/x`, and says what the layer holds or why not.
fn add(bytes: &[u8]) -> (Case, String) {
    let case = Case::new("archive", "x/\nlink -> x");
    std::fs::write(case.path("context/archive"), bytes).unwrap();
    let text = case.copy_with(&["archive"], "/x", |action| {
        action.archives = Archives::Unpack;
    });
    (case, text)
}

/// Everything in the case but the layer.
fn others(case: &Case) -> String {
    let names = ["base", "context"].map(|name| listing(&case.path(name)));
    let dir = std::fs::read_dir(case.path("")).unwrap();
    let mut all: Vec<String> = dir
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    format!("{all:?} {names:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn s55_files_arrive_as_they_were_packed(
        files in proptest::collection::btree_map("[a-z]{1,3}(/[A-Z]{1,3}){0,2}", "[a-z]{0,9}", 1..6),
    ) {
        let entries: Vec<(&str, u8, &str)> = files
            .iter()
            .map(|(name, content)| (name.as_str(), b'0', content.as_str()))
            .collect();
        let (case, text) = add(&packed(&entries));
        let is_parent = |name: &str| files.keys().any(|other| other.starts_with(&format!("{name}/")));
        prop_assume!(!files.keys().any(|name| is_parent(name)));
        prop_assert!(!text.starts_with("error"), "{}", text);
        let found: BTreeMap<String, String> = files
            .keys()
            .map(|name| {
                let path = case.path("layer/x").join(name);
                (name.clone(), std::fs::read_to_string(path).unwrap())
            })
            .collect();
        prop_assert_eq!(found, files);
    }

    #[test]
    fn s55_what_was_changed_stays_in_its_place(
        names in proptest::collection::vec("(\\.\\./|/|\\./)?[a-c](/\\.\\.){0,2}(/[a-c]){0,2}", 1..5),
        kinds in proptest::collection::vec(prop::sample::select(&b"01256"[..]), 5),
        targets in proptest::collection::vec("(/|\\.\\./){0,3}[a-c](/[a-c]){0,2}", 5),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let entries: Vec<(&str, u8, &str)> = names
            .iter()
            .zip(kinds.iter().zip(&targets))
            .map(|(name, (kind, target))| (name.as_str(), *kind, target.as_str()))
            .collect();
        let mut bytes = packed(&entries);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let before = others(&add(b"").0);
        let (case, text) = add(&bytes);
        let changed = others(&case);
        let shown = |text: &str| text.split("archive").next().unwrap_or_default().to_owned();
        prop_assert_eq!(shown(&before), shown(&changed), "{}", text);
        prop_assert_eq!(case.path("base/x").metadata().unwrap().nlink(), 2);
        prop_assert_eq!(std::fs::read_dir(case.path("base/x")).unwrap().count(), 0);
    }
}
