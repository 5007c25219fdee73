use super::*;
use crate::pins::GitNeed;

fn parse(text: &str) -> Option<RemoteUrl> {
    RemoteUrl::parse(text).unwrap()
}

/// `remote`, then `@reference`, `:subdir` and `=checksum` as far as they are given.
fn shown(url: Option<RemoteUrl>) -> String {
    let git = match url {
        None => return "path".to_owned(),
        Some(RemoteUrl::Http(url)) => return format!("http {url}"),
        Some(RemoteUrl::Git(git)) => git,
    };
    let mut text = format!("git {}", git.remote);
    for (mark, value) in [
        (" @", git.reference),
        (" :", Some(git.subdir).filter(|dir| !dir.is_empty())),
        (" =", git.checksum),
        (" keep=", git.keep_git_dir.map(|keep| keep.to_string())),
        (" submodules=", git.submodules.map(|with| with.to_string())),
        (" ", git.commit_times.then(|| "commit-times".to_owned())),
        (" ", git.fetch_by_commit.then(|| "by-commit".to_owned())),
    ] {
        if let Some(value) = value {
            text.push_str(mark);
            text.push_str(&value);
        }
    }
    text
}

#[test]
fn files_repositories_and_paths() {
    for (text, expected) in [
        ("https://example.com/", "http https://example.com/"),
        ("https://example.com/foo", "http https://example.com/foo"),
        (
            "http://example.com/a.tar?x=1#y",
            "http http://example.com/a.tar?x=1#y",
        ),
        (
            "https://example.com/foo.git",
            "git https://example.com/foo.git",
        ),
        (
            "https://example.com/foo.git/",
            "http https://example.com/foo.git/",
        ),
        (
            "https://example.com/foo.git.bar",
            "http https://example.com/foo.git.bar",
        ),
        (
            "https://example.com/a?x=b.git",
            "http https://example.com/a?x=b.git",
        ),
        (
            "https://github.com/moby/buildkit",
            "http https://github.com/moby/buildkit",
        ),
        (
            "http://example.com/a.git:#b",
            "http http://example.com/a.git:#b",
        ),
        ("HTTPS://example.com/a.git", "git https://example.com/a.git"),
        ("HTTPS://example.com/a", "path"),
        (
            "https://me:pw@example.com/a.git",
            "git https://me:pw@example.com/a.git",
        ),
        ("https://example.git", "http https://example.git"),
        ("git://example.com/foo", "git git://example.com/foo"),
        (
            "ssh://git@example.com:22/foo",
            "git ssh://git@example.com:22/foo",
        ),
        (
            "git@example.com:moby/buildkit",
            "git git@example.com:moby/buildkit",
        ),
        ("git@example.com:a/b.git", "git git@example.com:a/b.git"),
        ("me_2@host-1.example:x", "git me_2@host-1.example:x"),
        ("github.com/moby/buildkit", "path"),
        ("custom.example/moby/buildkit.git", "path"),
        ("ftp://example.com/a.git", "path"),
        ("host:path", "path"),
        ("a@b/c:d", "path"),
        ("./.git", "path"),
        ("../a@b:c", "path"),
        (".git", "path"),
        ("a.git", "path"),
        ("http", "path"),
        ("dir/https://x", "path"),
        ("", "path"),
    ] {
        assert_eq!(shown(parse(text)), expected, "{text}");
    }
}

#[test]
fn fragments() {
    let base = "https://example.com/x.git";
    for (fragment, expected) in [
        ("#deadbeef", " @deadbeef"),
        ("#release/1.2", " @release/1.2"),
        ("#baz/qux:quux/quuz", " @baz/qux :quux/quuz"),
        ("#:myfolder", " :myfolder"),
        ("#v1:/a/../b/./", " @v1 :b"),
        ("#v1:../..", " @v1"),
        ("#", ""),
        ("#v%31", " @v1"),
    ] {
        let text = format!("{base}{fragment}");
        assert_eq!(
            shown(parse(&text)),
            format!("git {base}{expected}"),
            "{text}"
        );
    }
    assert_eq!(
        shown(parse("git@example.com:a.git#v1:sub")),
        "git git@example.com:a.git @v1 :sub"
    );
}

#[test]
fn queries() {
    let base = "https://example.com/x.git";
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (query, expected) in [
        ("?ref=v1.0.0&subdir=/subdir", " @v1.0.0 :subdir".to_owned()),
        ("?subdir=/subdir#v1.0.0", " @v1.0.0 :subdir".to_owned()),
        ("?tag=v1", " @refs/tags/v1".to_owned()),
        ("?tag=refs/tags/v1", " @refs/tags/v1".to_owned()),
        ("?branch=v1", " @refs/heads/v1".to_owned()),
        ("?ref=refs/tags/v1&tag=v1", " @refs/tags/v1".to_owned()),
        ("?ref=v1#v1", " @v1".to_owned()),
        ("?subdir=a#v1:a", " @v1 :a".to_owned()),
        ("?checksum=abc", " @abc =abc".to_owned()),
        ("?commit=abc&tag=v1", " @refs/tags/v1 =abc".to_owned()),
        ("?checksum=abc&commit=abc", " @abc =abc".to_owned()),
        ("?keep-git-dir", " keep=true".to_owned()),
        (
            "?keep-git-dir=0&submodules=false",
            " keep=false submodules=false".to_owned(),
        ),
        ("?submodules", " submodules=true".to_owned()),
        ("?mtime=commit", " commit-times".to_owned()),
        ("?mtime=checkout", String::new()),
        ("?ref=a%20b+c", " @a b c".to_owned()),
        ("?", String::new()),
    ] {
        let text = format!("{base}{query}");
        assert_eq!(
            shown(parse(&text)),
            format!("git {base}{expected}"),
            "{text}"
        );
    }
    assert_eq!(
        shown(parse(&format!("{base}?fetch-by-commit&commit={commit}"))),
        format!("git {base} @{commit} ={commit} by-commit")
    );
    assert_eq!(
        shown(parse("git@example.com:a/b.git?subdir=/s#v1")),
        "git git@example.com:a/b.git @v1 :s"
    );
}

#[test]
fn queries_that_contradict_themselves() {
    for (query, message) in [
        ("ref=v1#v2", "ref conflicts: \"v2\" vs \"v1\""),
        ("ref=v1&tag=v2", "ref conflicts: \"v1\" vs \"refs/tags/v2\""),
        ("branch=b#v1", "ref conflicts: \"v1\" vs \"refs/heads/b\""),
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("subdir=a#v1:b", "subdir conflicts: \"b\" vs \"a\""),
        ("checksum=a&commit=b", "commit conflicts: \"a\" vs \"b\""),
        ("ref=a&ref=a", "query \"ref\" has multiple values"),
        ("ref=", "query \"ref\" has no value"),
        ("tag", "query \"tag\" has no value"),
        ("invalid=123", "unexpected query \"invalid\""),
        ("invalid", "unexpected query \"invalid\""),
        (
            "keep-git-dir=maybe",
            "invalid keep-git-dir value: \"maybe\"",
        ),
        ("submodules=2", "invalid submodules value: \"2\""),
        ("mtime=now", "invalid mtime value: \"now\""),
        ("fetch-by-commit=x", "invalid fetch-by-commit value: \"x\""),
        (
            "fetch-by-commit&tag=v1",
            "fetch-by-commit needs the full name of a commit",
        ),
        (
            "fetch-by-commit&commit=abc",
            "fetch-by-commit needs the full name of a commit",
        ),
    ] {
        let found = RemoteUrl::parse(&format!("https://example.com/x.git?{query}"));
        assert_eq!(found.unwrap_err().to_string(), message, "{query}");
    }
    // The query of a file is its server's business.
    assert!(parse("https://example.com/x?ref=a&ref=b").is_some());
}

#[test]
fn contexts_may_be_short() {
    let context = |text: &str| shown(RemoteUrl::parse_context(text).unwrap());
    for (text, expected) in [
        (
            "github.com/moby/buildkit",
            "git https://github.com/moby/buildkit",
        ),
        (
            "github.com/moby/buildkit#master",
            "git https://github.com/moby/buildkit @master",
        ),
        (
            "github.com/a/b?tag=v1",
            "git https://github.com/a/b @refs/tags/v1",
        ),
        (
            "https://example.com/a.tar",
            "http https://example.com/a.tar",
        ),
        ("./github.com/a", "path"),
        ("dir", "path"),
    ] {
        assert_eq!(context(text), expected, "{text}");
    }
}

#[test]
fn keep_git_dir_makes_any_address_a_repository() {
    let git = |text: &str| shown(RemoteUrl::parse_git(text).unwrap());
    assert_eq!(git("https://example.com/a"), "git https://example.com/a");
    assert_eq!(git("a"), "path");
}

#[test]
fn needs_follow_the_address_first() {
    let need = |text: &str, keep| match parse(text) {
        Some(RemoteUrl::Git(git)) => git.need(keep),
        other => panic!("{other:?}"),
    };
    let plain = GitNeed {
        remote: "git://h/x".to_owned(),
        reference: None,
        checksum: None,
        subdir: String::new(),
        keep_git_dir: false,
        submodules: true,
        commit_times: false,
        fetch_by_commit: false,
    };
    assert_eq!(need("git://h/x", false), plain);
    assert!(need("git://h/x", true).keep_git_dir);
    assert!(!need("git://h/x?keep-git-dir=false", true).keep_git_dir);
    assert!(need("git://h/x?keep-git-dir", false).keep_git_dir);
    assert!(!need("git://h/x?submodules=0", false).submodules);
}

#[test]
fn s54_names_of_files() {
    for (url, name) in [
        ("https://example.com/a/b.tar.gz", "b.tar.gz"),
        ("https://example.com/a/b/", "b"),
        ("https://example.com/a?b=/c#d/e", "a"),
        ("https://example.com/a%20b", "a b"),
        ("https://example.com/%C3%A4.txt", "\u{e4}.txt"),
        ("https://example.com/a%2Fb", "b"),
        ("https://example.com/", "__unnamed__"),
        ("https://example.com", "__unnamed__"),
        ("https://example.com?x=/y", "__unnamed__"),
        ("https://example.com/%zz", "__unnamed__"),
        ("https://example.com/a%00b", "__unnamed__"),
        ("https://example.com/..", "__unnamed__"),
    ] {
        assert_eq!(file_name(url), name, "{url}");
    }
}

#[test]
fn the_main_context_may_keep_its_git_directory() {
    let with = |value: &str| {
        let args = [("BUILDKIT_CONTEXT_KEEP_GIT_DIR".to_owned(), value.to_owned())];
        keeps_git_dir(&args.into_iter().collect())
    };
    assert!(with("1"));
    assert!(with("true"));
    assert!(!with("0"));
    assert!(!with("yes"));
    assert!(!keeps_git_dir(&BTreeMap::new()));
}
