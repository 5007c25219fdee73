//! ADD of files and repositories that are fetched.

use super::fixture::{Fixture, findings, graph, names, needs};
use expect_test::expect;

#[test]
fn s54_files_are_named_by_their_address() {
    graph(
        r"
FROM scratch
ADD https://example.com/dir/a.tar.gz?x=1 /d/
ADD --chown=app --chmod=0755 http://example.com/tool /bin/tool
ADD https://example.com/ https://example.com/b%20c https://example.com/w%5B1%5D* /d/
",
        &expect![[r#"
            %0 = http https://example.com/dir/a.tar.gz?x=1
            %1 = file scratch <- %0
                 copy %in0[a.tar.gz] to /d/ owner=root
            %2 = http http://example.com/tool
            %3 = file base %in0 <- %1 %2
                 copy %in1[tool] to /bin/tool owner="app" mode=0755
            %4 = http https://example.com/
            %5 = http https://example.com/b%20c
            %6 = http https://example.com/w%5B1%5D*
            %7 = file base %in0 <- %3 %4 %5 %6
                 copy %in1[__unnamed__] to /d/ owner=root
                 copy %in2[b c] to /d/ owner=root
                 copy %in3[w\[1]\*] to /d/ owner=root
            linux/amd64 -> %7
        "#]],
    );
}

#[test]
fn s55_fetched_archives_are_unpacked_when_asked() {
    graph(
        r"
FROM scratch
ADD https://example.com/a.tar /
ADD --unpack https://example.com/a.tar /
ADD --unpack=false https://example.com/a.tar a.tar /
ADD https://example.com/a.tar a.tar /
",
        &expect![[r#"
            %0 = http https://example.com/a.tar
            %1 = file scratch <- %0
                 copy %in0[a.tar] to / owner=root
            %2 = file base %in0 <- %1 %0
                 copy %in1[a.tar] to / owner=root unpack
            %3 = files "" ["a.tar"]
            %4 = file base %in0 <- %2 %0 %3
                 copy %in1[a.tar] to / owner=root
                 copy %in2[#0] to / owner=root
            %5 = file base %in0 <- %4 %0 %3
                 copy %in1[a.tar] to / owner=root
                 copy %in2[#0] to / owner=root unpack
            linux/amd64 -> %5
        "#]],
    );
}

#[test]
fn sources_of_several_kinds_keep_their_order() {
    graph(
        "FROM debian\nADD a b https://example.com/c d git@example.com:x/y.git *.tar /d/\n",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = files "" ["a", "b"]
            %2 = http https://example.com/c
            %3 = files "" ["d"]
            %4 = git git@example.com:x/y.git
            %5 = files "" ["*.tar"]
            %6 = file base %in0 <- %0 %1 %2 %3 %4 %5
                 copy %in1[#0 #1] to /d/ owner=root unpack
                 copy %in2[c] to /d/ owner=root
                 copy %in3[#0] to /d/ owner=root unpack
                 copy %in4[.] to /d/ owner=root
                 copy %in5[#0] to /d/ owner=root unpack
            linux/amd64 -> %6
        "#]],
    );
}

#[test]
fn repositories_are_known_by_their_address() {
    needs(
        r"
FROM scratch
ADD https://example.com/a.git /1
ADD https://example.com/b.git#v1:sub/dir /2
ADD git://example.com/c /3
ADD ssh://git@example.com:22/d.git#main /4
ADD git@example.com:e/f.git?subdir=x#v2 /5
ADD https://example.com/g.git?tag=v1&subdir=/s&submodules=false&mtime=commit&checksum=0123abcd /6
ADD https://example.com/not-git /7
ADD github.com/a/b /8
ADD host:path /9
ADD ftp://example.com/x /10
",
        &expect![[r#"
            round 1
              files "" ["ftp:/example.com/x"]
              files "" ["github.com/a/b"]
              files "" ["host:path"]
              http https://example.com/not-git
              git git://example.com/c
              git git@example.com:e/f.git @v2 :x
              git https://example.com/a.git
              git https://example.com/b.git @v1 :sub/dir
              git https://example.com/g.git @refs/tags/v1 :s =0123abcd alone commit-times
              git ssh://git@example.com:22/d.git @main
        "#]],
    );
}

#[test]
fn s58_the_git_directory_is_kept_when_asked() {
    needs(
        r"
FROM scratch
ADD --keep-git-dir=true https://example.com/a.git /
ADD --keep-git-dir=false https://example.com/b.git /
ADD https://example.com/c.git?keep-git-dir /
ADD --keep-git-dir https://example.com/d.git?keep-git-dir=true /
ADD --keep-git-dir https://example.com/no-suffix /
",
        &expect![[r#"
            round 1
              git https://example.com/a.git keep
              git https://example.com/b.git
              git https://example.com/c.git keep
              git https://example.com/d.git keep
              git https://example.com/no-suffix keep
        "#]],
    );
    findings(
        "FROM scratch\nADD --keep-git-dir=true https://example.com/a.git?keep-git-dir=false /\n",
        &expect![[r#"
            error[invalid-git-url] line 2 `https://example.com/a.git?keep-git-dir=false`: inconsistent keep-git-dir configuration
        "#]],
    );
}

#[test]
fn s58_repositories_become_files_of_root() {
    graph(
        r"
FROM debian
ARG REF=v1
ADD https://example.com/a.git#$REF /src
ADD --chown=app:1 --chmod=0755 https://example.com/a.git#v1 src/
ADD --link https://example.com/a.git#v1 /src
",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = git https://example.com/a.git @v1
            %2 = file base %in0 <- %0 %1
                 copy %in1[.] to /src owner=root
            %3 = file base %in0 <- %2 %1
                 copy %in1[.] to /src/ owner="app:1" mode=0755
            %4 = file scratch <- %1
                 copy %in0[.] to /src owner=root
            %5 = merge <- %3 %4
            linux/amd64 -> %5
        "#]],
    );
}

#[test]
fn checksums() {
    let sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    needs(
        &format!(
            r"
FROM scratch
ARG SUM={sum}
ARG NONE=
ADD --checksum=$SUM https://example.com/a /
ADD --checksum=$NONE https://example.com/b /
ADD --checksum=0123ABC https://example.com/c.git#v1 /
ADD --checksum=0123abc https://example.com/d.git?checksum=0123abc /
"
        ),
        &expect![[r#"
            round 1
              http https://example.com/a checked
              http https://example.com/b
              git https://example.com/c.git @v1 =0123abc
              git https://example.com/d.git @0123abc =0123abc
        "#]],
    );
    for (line, message) in [
        (
            "ADD --checksum=abc a /",
            "checksum requires HTTP(S) or Git sources",
        ),
        (
            "ADD --checksum=abc https://example.com/a https://example.com/b /",
            "checksum can't be specified for multiple sources",
        ),
        (
            "ADD --checksum=abc https://example.com/a.git b /",
            "checksum can't be specified for multiple sources",
        ),
        (
            "COPY --checksum=abc a /",
            "checksum can't be specified for COPY",
        ),
        (
            "ADD --checksum=abc https://example.com/a /",
            "digest has no algorithm, expected `sha256:<64 hex digits>`",
        ),
        (
            "ADD --checksum=sha256:00 https://example.com/a /",
            "digest has 2 hex digits, expected 64",
        ),
        (
            "ADD --checksum=md5:00 https://example.com/a /",
            "digest algorithm `md5` is not supported, only `sha256` is",
        ),
        (
            "ADD --checksum=sha256:00 https://example.com/a.git /",
            "invalid checksum \"sha256:00\": expected a commit or the beginning of one",
        ),
        (
            "ADD --checksum=abc https://example.com/a.git?checksum=def /",
            "checksum mismatch \"abc\" != \"def\"",
        ),
    ] {
        let fixture = Fixture::new(&format!("FROM scratch\n{line}\n"));
        let found = fixture.build().err().unwrap_or_default();
        let error = found.last().unwrap_or_else(|| panic!("{line} is accepted"));
        assert_eq!(error.message, message, "{line}");
        assert!(error.span().is_some_and(|span| span.start > 13), "{line}");
    }
}

#[test]
fn addresses_that_contradict_themselves() {
    findings(
        "FROM scratch\nADD https://example.com/a.git?ref=v1#v2 /\n",
        &expect![[r#"
            error[invalid-git-url] line 2 `https://example.com/a.git?ref=v1#v2`: ref conflicts: "v2" vs "v1"
        "#]],
    );
    findings(
        "FROM scratch\nADD a https://example.com/a.git?branchh=x /\n",
        &expect![[r#"
            error[invalid-git-url] line 2 `https://example.com/a.git?branchh=x`: unexpected query "branchh"
        "#]],
    );
}

#[test]
fn copy_takes_no_addresses() {
    for (path, message) in [
        ("http://example.com/x", "source can't be a URL for COPY"),
        (
            "https://example.com/x.git",
            "source can't be a git ref for COPY",
        ),
        ("git@example.com:a/b", "source can't be a git ref for COPY"),
        ("git://example.com/a", "source can't be a git ref for COPY"),
    ] {
        let fixture = Fixture::new(&format!("FROM scratch\nCOPY {path} /\n"));
        let found = fixture.build().err().unwrap_or_default();
        let error = found.last().unwrap_or_else(|| panic!("{path} is accepted"));
        assert_eq!((error.message.as_str(), error.code), (message, "copy-url"));
        assert_eq!(error.hint.as_deref(), Some("use ADD"));
        let span = error.span().unwrap();
        assert_eq!((span.start, span.len()), (18, path.len()));
    }
    needs(
        "FROM scratch\nCOPY github.com/a/b host:c ftp://d /\n",
        &expect![[r#"
            round 1
              files "" ["github.com/a/b", "host:c", "ftp:/d"]
        "#]],
    );
}

#[test]
fn passwords_are_not_shown() {
    names(
        "FROM scratch\nADD https://me:secret@example.com/a.git /\n",
        &expect![[r#"
            2-2 [internal] load https://example.com/a.git
            2-2 [1/1] ADD https://xxxxx:xxxxx@example.com/a.git /
        "#]],
    );
}

#[test]
fn s99_triggers_may_add() {
    needs(
        r#"
//- Dockerfile
FROM base
//- image base
{"config": {"OnBuild": ["ADD https://example.com/a /"]}}
"#,
        &expect![[r#"
            round 1
              image base for linux/amd64
            round 2
              http https://example.com/a
        "#]],
    );
}

#[test]
fn s24_addresses_of_stages_that_are_not_reached_are_not_fetched() {
    needs(
        "FROM scratch AS a\nADD https://example.com/a /\nFROM scratch\nADD https://example.com/b /\n",
        &expect![[r#"
            round 1
              http https://example.com/b
        "#]],
    );
}
