use super::{Case, NOW, listing};
use crate::{HostTree, Staging, mkdir, mkfile};
use acetate_graph::{CopyOwner, MkdirAction, MkfileAction};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

#[track_caller]
fn check(found: String, expected: &str) {
    let expected: String = expected
        .lines()
        .map(|l| format!("{}\n", l.trim()))
        .collect();
    assert_eq!(found, expected.trim_start_matches('\n'));
}

#[test]
fn a_file_goes_to_a_name_or_into_a_directory_s38() {
    check(Case::new("f", "").copy(&["f"], "/x"), "- 0644 0:0 x [f]");
    check(
        Case::new("f", "").copy(&["f"], "/x/"),
        "d 0755 0:0 x\n- 0644 0:0 x/f [f]",
    );
    check(
        Case::new("f", "d/").copy(&["f"], "/d"),
        "d 0755 0:0 d\n- 0644 0:0 d/f [f]",
    );
    check(Case::new("f", "").copy(&["f"], "/"), "- 0644 0:0 f [f]");
    check(
        Case::new("a/b/f", "").copy(&["a/b/f"], "/x/y/z"),
        "d 0755 0:0 x\nd 0755 0:0 x/y\n- 0644 0:0 x/y/z [a/b/f]",
    );
}

#[test]
fn of_a_directory_the_contents_are_copied_s32_s33() {
    for source in ["d", "d/", "d/."] {
        check(
            Case::new("d/ mode=700\nd/f mode=600\nd/sub/ mode=711", "").copy(&[source], "/x"),
            "d 0755 0:0 x\n- 0600 0:0 x/f [d/f]\nd 0711 0:0 x/sub",
        );
    }
}

#[test]
fn an_existing_directory_keeps_its_attributes_and_nested_ones_take_the_sources_s34() {
    let case = Case::new(
        "d/f\nd/sub/ mode=711",
        "x/ mode=750\nx/sub/ mode=700\nx/old",
    );
    check(
        case.copy(&["d"], "/x"),
        "d 0750 0:0 x\n- 0644 0:0 x/f [d/f]\nd 0711 0:0 x/sub",
    );
}

#[test]
fn chown_and_octal_chmod_reach_implied_parents_s35() {
    let case = Case::new("f", "");
    let found = case.copy_with(&["f"], "/p/q/f", |action| {
        action.owner = CopyOwner::Named("7:8".into());
        action.mode = Some("0777".into());
    });
    check(found, "d 0777 7:8 p\nd 0777 7:8 p/q\n- 0777 7:8 p/q/f [f]");
    let found = Case::new("f mode=600", "").copy_with(&["f"], "/p/f", |action| {
        action.mode = Some("go=r".into());
    });
    check(found, "d 0755 0:0 p\n- 0644 0:0 p/f [f]");
}

#[test]
fn paths_are_clamped_at_the_root_s40() {
    check(
        Case::new("f", "").copy(&["../../f"], "/../x"),
        "- 0644 0:0 x [f]",
    );
    check(
        Case::new("a/f", "").copy(&["/a/../a/f"], "/x"),
        "- 0644 0:0 x [a/f]",
    );
}

#[test]
fn source_links_are_followed_inside_the_root_and_kept_inside_a_tree_s41() {
    let context = "real/f\nlink -> real\nabsolute -> /real/f\ntree/l -> ../real/f";
    check(
        Case::new(context, "").copy(&["absolute"], "/x"),
        "- 0644 0:0 x [real/f]",
    );
    check(
        Case::new(context, "").copy(&["link/f"], "/x"),
        "- 0644 0:0 x [real/f]",
    );
    check(
        Case::new(context, "").copy(&["link"], "/x"),
        "d 0755 0:0 x\n- 0644 0:0 x/f [real/f]",
    );
    check(
        Case::new(context, "").copy(&["tree"], "/x"),
        "d 0755 0:0 x\nl 0:0 x/l -> ../real/f",
    );
    check(
        Case::new("out -> ../../../../etc/passwd", "").copy(&["out"], "/x"),
        "error: \"/out\": not found",
    );
    check(
        Case::new("a -> b\nb -> a", "").copy(&["a"], "/x"),
        "error: `/a`: too many levels of symbolic links",
    );
}

#[test]
fn destination_links_are_followed_even_dangling_s42() {
    let case = Case::new("f", "link -> ../tmp/t\ntmp/");
    check(
        case.copy(&["f"], "/link/"),
        "d 0755 0:0 tmp\nd 0755 0:0 tmp/t\n- 0644 0:0 tmp/t/f [f]",
    );
    let case = Case::new("f", "real/ mode=700\nlink -> /real");
    check(
        case.copy(&["f"], "/link"),
        "d 0700 0:0 real\n- 0644 0:0 real/f [f]",
    );
}

#[test]
fn collisions_are_errors_or_replace_s43() {
    check(
        Case::new("d/x", "t/x/").copy(&["d"], "/t"),
        "error: cannot replace to directory `/t/x` with file",
    );
    check(
        Case::new("d/x/f", "t/x").copy(&["d"], "/t"),
        "error: cannot copy to non-directory: `/t/x`",
    );
    check(
        Case::new("d/f", "t").copy(&["d"], "/t"),
        "error: cannot copy to non-directory: `/t`",
    );
    check(
        Case::new("d/x", "t/x -> /elsewhere").copy(&["d"], "/t"),
        "d 0755 0:0 t\n- 0644 0:0 t/x [d/x]",
    );
}

#[test]
fn wildcards_follow_go_and_may_match_nothing_s44_s45_s46() {
    let context = "a.go\nb.go\nsub/c.go\n[x]";
    check(
        Case::new(context, "").copy(&["*.go"], "/x/"),
        "d 0755 0:0 x\n- 0644 0:0 x/a.go [a.go]\n- 0644 0:0 x/b.go [b.go]",
    );
    check(
        Case::new(context, "").copy(&["b*.go"], "/one.go"),
        "- 0644 0:0 one.go [b.go]",
    );
    check(
        Case::new(context, "").copy(&["?.go"], "/last.go"),
        "- 0644 0:0 last.go [b.go]",
    );
    check(
        Case::new(context, "").copy(&["[[]x]"], "/y"),
        "- 0644 0:0 y [[x]]",
    );
    check(
        Case::new(context, "").copy(&["*/c.go"], "/y"),
        "- 0644 0:0 y [sub/c.go]",
    );
    check(
        Case::new(context, "").copy(&["a.go", "no*"], "/x/"),
        "d 0755 0:0 x\n- 0644 0:0 x/a.go [a.go]",
    );
    check(
        Case::new(context, "").copy(&["bad"], "/x"),
        "error: \"/bad\": not found",
    );
    check(
        Case::new(context, "").copy(&["su*"], "/x"),
        "d 0755 0:0 x\n- 0644 0:0 x/c.go [sub/c.go]",
    );
}

#[test]
fn several_sources_need_a_directory() {
    check(
        Case::new("a\nb", "").copy(&["a", "b"], "/x"),
        "error: `/x` is no directory, but there are several sources; end it with `/`",
    );
    check(
        Case::new("a\nb", "x/").copy(&["a", "b"], "/x"),
        "d 0755 0:0 x\n- 0644 0:0 x/a [a]\n- 0644 0:0 x/b [b]",
    );
}

#[test]
fn ignored_files_are_not_there_but_exceptions_below_them_are() {
    let case = Case::new("a\nsecret\nout/keep\nout/drop\nempty/x", "")
        .ignoring("secret\nout\n!out/keep\nempty");
    check(
        case.copy(&["."], "/x"),
        "d 0755 0:0 x\n- 0644 0:0 x/a [a]\nd 0755 0:0 x/out\n- 0644 0:0 x/out/keep [out/keep]",
    );
    let case = Case::new("secret", "").ignoring("secret");
    check(
        case.copy(&["secret"], "/x"),
        "error: \"/secret\": not found",
    );
}

#[test]
fn names_that_mean_deletions_are_refused_by_name() {
    check(
        Case::new("d/.wh.x", "").copy(&["d"], "/t"),
        "error: `/t/.wh.x`: a layer cannot hold a name that begins with `.wh.`",
    );
}

#[test]
fn hard_links_set_id_bits_and_times_survive_s50_s52_s53() {
    let case = Case::new("d/a mode=4755\nd/c", "");
    let context = case.path("context/d");
    std::fs::hard_link(context.join("a"), context.join("b")).unwrap();
    let past = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    std::fs::File::open(context.join("c"))
        .unwrap()
        .set_modified(past)
        .unwrap();
    check(
        case.copy(&["d"], "/x"),
        "d 0755 0:0 x\n- 4755 0:0 x/a [d/a] linked\n- 4755 0:0 x/b [d/a] linked\n- 0644 0:0 x/c [d/c]",
    );
    let copied = case.path("layer/x/c").metadata().unwrap();
    assert_eq!(
        (copied.mtime(), copied.mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    let source = context.metadata().unwrap();
    assert_eq!(
        case.path("layer/x").metadata().unwrap().mtime(),
        source.mtime()
    );
}

#[test]
fn a_parent_that_exists_keeps_its_time() {
    let case = Case::new("f", "p/");
    let before = case.path("base/p").metadata().unwrap();
    case.copy(&["f"], "/p/f");
    let after = case.path("layer/p").metadata().unwrap();
    assert_eq!(
        (before.mtime(), before.mtime_nsec()),
        (after.mtime(), after.mtime_nsec())
    );
}

#[test]
fn a_context_that_changes_after_it_was_pinned_fails_the_step() {
    let case = Case::new("f", "");
    let selection = case.select(&["f"]).unwrap();
    std::fs::write(case.path("context/f"), "F").unwrap();
    let base = HostTree::open(&case.path("base"), None).unwrap();
    let mut staging = Staging::new(&base, &case.path("layer"), NOW).unwrap();
    let action = acetate_graph::CopyAction {
        input: 1,
        sources: vec![acetate_graph::CopySource::Slot(0)],
        dest: "/x".into(),
        owner: CopyOwner::Root,
        mode: None,
        archives: acetate_graph::Archives::Copy,
        parents: false,
        excludes: Vec::new(),
    };
    let context = case.context();
    let input = crate::CopyInput {
        tree: &context,
        pinned: Some(&selection),
    };
    let error = crate::copy(&mut staging, &action, input)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "context changed during build: `/f`");
}

#[test]
fn workdir_makes_only_what_is_missing_s64() {
    let case = Case::new("", "a/ mode=700\nl -> a");
    let base = HostTree::open(&case.path("base"), None).unwrap();
    let mut staging = Staging::new(&base, &case.path("layer"), NOW).unwrap();
    let mut action = MkdirAction {
        path: "/l/b/c".into(),
        mode: 0o755,
        owner: "5:6".into(),
        mtime: None,
    };
    mkdir(&mut staging, &action).unwrap();
    action.path = "/a".into();
    mkdir(&mut staging, &action).unwrap();
    staging.finish().unwrap();
    check(
        listing(&case.path("layer")),
        "d 0700 0:0 a\nd 0755 5:6 a/b\nd 0755 5:6 a/b/c",
    );
}

#[test]
fn heredocs_become_files() {
    let case = Case::new("", "d/");
    let base = HostTree::open(&case.path("base"), None).unwrap();
    let mut staging = Staging::new(&base, &case.path("layer"), NOW).unwrap();
    let mut action = MkfileAction {
        name: "EOF".into(),
        dest: "/d".into(),
        content: b"text".to_vec(),
        mode: None,
        owner: String::new(),
        mtime: None,
    };
    mkfile(&mut staging, &action).unwrap();
    action.dest = "/e".into();
    action.mode = Some("0755".into());
    mkfile(&mut staging, &action).unwrap();
    staging.finish().unwrap();
    check(
        listing(&case.path("layer")),
        "d 0755 0:0 d\n- 0644 0:0 d/EOF [text]\n- 0755 0:0 e [text]",
    );
    assert_eq!(
        case.path("layer").metadata().unwrap().permissions().mode() & 0o777,
        0o755
    );
}
