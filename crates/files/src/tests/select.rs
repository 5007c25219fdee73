use super::Case;
use crate::{Attributes, Selection, SelectionOptions};
use acetate_oci::Digest;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

pub(super) const ALL: Attributes = Attributes {
    owner: true,
    mode: true,
};

fn digest(context: &str, sources: &[&str]) -> Digest {
    Case::new(context, "").select(sources).unwrap().digest(ALL)
}

#[test]
fn times_do_not_count_and_modes_do_s74_s76() {
    let case = Case::new("f", "");
    let first = case.select(&["f"]).unwrap().digest(ALL);
    let file = std::fs::File::open(case.path("context/f")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(case.select(&["f"]).unwrap().digest(ALL), first);
    std::fs::set_permissions(case.path("context/f"), PermissionsExt::from_mode(0o664)).unwrap();
    let changed = case.select(&["f"]).unwrap();
    assert_ne!(changed.digest(ALL), first);
    let without = Attributes { mode: false, ..ALL };
    std::fs::set_permissions(case.path("context/f"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(
        case.select(&["f"]).unwrap().digest(without),
        changed.digest(without)
    );
}

#[test]
fn content_of_the_same_size_and_time_counts() {
    let case = Case::new("f", "");
    let time = std::fs::metadata(case.path("context/f"))
        .unwrap()
        .modified()
        .unwrap();
    let first = case.select(&["f"]).unwrap().digest(ALL);
    std::fs::write(case.path("context/f"), "F").unwrap();
    std::fs::File::open(case.path("context/f"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_ne!(case.select(&["f"]).unwrap().digest(ALL), first);
}

#[test]
fn of_a_file_only_the_base_name_counts_s75() {
    let one = Case::new("a/f", "");
    let two = Case::new("b/f", "");
    std::fs::write(one.path("context/a/f"), "same").unwrap();
    std::fs::write(two.path("context/b/f"), "same").unwrap();
    let first = one.select(&["a/f"]).unwrap().digest(ALL);
    assert_eq!(two.select(&["b/f"]).unwrap().digest(ALL), first);
    std::fs::rename(two.path("context/b/f"), two.path("context/b/g")).unwrap();
    assert_ne!(two.select(&["b/g"]).unwrap().digest(ALL), first);
}

#[test]
fn the_shape_of_the_selection_counts() {
    assert_ne!(digest("a\nb", &["a", "b"]), digest("a\nb", &["b", "a"]));
    assert_ne!(digest("a\nb", &["a", "b"]), digest("a\nb", &["*"]));
    assert_ne!(digest("d/x", &["d"]), digest("d/x\nd/e/", &["d"]));
    assert_ne!(digest("d/x -> a", &["d"]), digest("d/x -> b", &["d"]));
    assert_eq!(digest("d/x\nother", &["d"]), digest("d/x", &["d"]));
}

#[test]
fn hard_links_and_copies_are_told_apart() {
    let linked = Case::new("d/a", "");
    std::fs::hard_link(linked.path("context/d/a"), linked.path("context/d/b")).unwrap();
    let copied = Case::new("d/a", "");
    std::fs::copy(copied.path("context/d/a"), copied.path("context/d/b")).unwrap();
    assert_ne!(
        linked.select(&["d"]).unwrap().digest(ALL),
        copied.select(&["d"]).unwrap().digest(ALL)
    );
}

#[test]
fn a_large_tree_has_one_digest_on_any_number_of_threads() {
    let names: String = (0..200).map(|n| format!("d/{}/f{n}\n", n % 7)).collect();
    let case = Case::new(&names, "");
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let four = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    let digest = || case.select(&["."]).unwrap().digest(ALL);
    assert_eq!(one.install(digest), four.install(digest));
}

fn with(case: &Case, sources: &[&str], excludes: &[&str], parents: bool) -> Digest {
    let owned = |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| (*t).to_owned()).collect() };
    let context = case.context();
    let options = SelectionOptions {
        sources: &owned(sources),
        excludes: &owned(excludes),
        parents,
    };
    let mut selection = Selection::find(&context, &options).unwrap();
    selection.read(&context).unwrap();
    selection.digest(ALL)
}

#[test]
fn s48_what_is_excluded_counts_by_its_effect_only() {
    let full = Case::new("d/a\nd/b\nd/c", "");
    let small = Case::new("d/a\nd/c", "");
    let digest = with(&full, &["d"], &["b"], false);
    assert_eq!(digest, with(&full, &["d"], &["[b]", "nothing"], false));
    assert_eq!(digest, with(&small, &["d"], &[], false));
    assert_ne!(digest, with(&full, &["d"], &[], false));
    std::fs::write(full.path("context/d/b"), "changed").unwrap();
    assert_eq!(digest, with(&full, &["d"], &["b"], false));
    std::fs::write(full.path("context/d/c"), "changed").unwrap();
    assert_ne!(digest, with(&full, &["d"], &["b"], false));
}

#[test]
fn s47_the_directories_that_come_along_count() {
    let case = Case::new("a/ mode=755\na/b/f\na/other", "");
    let digest = || with(&case, &["a/b/f"], &[], true);
    let first = digest();
    assert_ne!(first, with(&case, &["a/b/f"], &[], false));
    assert_ne!(first, with(&case, &["a/./b/f"], &[], true));
    // The same names, but the directory is copied itself and not only led through.
    assert_ne!(first, with(&case, &["a/b"], &[], true));
    assert_eq!(first, with(&case, &["a/b/*"], &[], true));
    std::fs::write(case.path("context/a/other"), "changed").unwrap();
    assert_eq!(digest(), first);
    std::fs::set_permissions(case.path("context/a"), PermissionsExt::from_mode(0o711)).unwrap();
    assert_ne!(digest(), first);
}

#[test]
fn s52_links_between_sources_count() {
    let linked = Case::new("a", "");
    std::fs::hard_link(linked.path("context/a"), linked.path("context/b")).unwrap();
    let copied = Case::new("a", "");
    std::fs::copy(copied.path("context/a"), copied.path("context/b")).unwrap();
    for sources in [&["a", "b"][..], &["*"]] {
        assert_ne!(
            with(&linked, sources, &[], false),
            with(&copied, sources, &[], false)
        );
    }
    // The same name twice is no link.
    assert_eq!(
        with(&linked, &["a", "a"], &[], false),
        with(&copied, &["a", "a"], &[], false)
    );
}
