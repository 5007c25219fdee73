use crate::support::{everything, found, listing};
use acetate_attest::sbom::{Limits, MemoryTree, Tree, TreeFile, scan};
use expect_test::expect;

#[test]
fn every_kind_of_file_is_read() {
    expect![[r#"
        pkg:apk/debian/busybox@1.36.1-r5?arch=x86_64&distro=debian-12 | GPL-2.0-only
        pkg:apk/debian/musl@1.2.4-r2?arch=x86_64&distro=debian-12&upstream=musl | MIT
        pkg:cargo/forked@0.2.0?vcs_url=git%2Bhttps:%2F%2Fxxxxx:xxxxx%40example.com%2Fforked.git%230123
        pkg:cargo/own@0.1.0
        pkg:cargo/serde@1.0.200 | SHA256:ddc6f9cc
        pkg:composer/a/b@1.0 | GPL-2.0-only OR proprietary
        pkg:composer/symfony/console@v6.3.4 | MIT | SHA1:eca495f2
        pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12&upstream=glibc | LGPL-2.1-or-later AND MIT
        pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12
        pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?arch=all&distro=debian-12
        pkg:gem/nokogiri@1.15.4?platform=x86_64-linux
        pkg:gem/racc@1.7.1 | SHA256:8a2bf53a
        pkg:golang/example.com/app
        pkg:golang/example.com/fork@v1.0.1
        pkg:golang/github.com/a/b@v1.2.3
        pkg:golang/github.com/burntsushi/toml@v1.3.2
        pkg:golang/golang.org/x/net@v0.2.0
        pkg:golang/golang.org/x/text@v0.14.0
        pkg:golang/stdlib@1.22.1
        pkg:npm/%40b/c@0.0.1 | ISC
        pkg:npm/%40babel/code-frame@7.10.4 | SHA512:bc6e92bc
        pkg:npm/%40n/nine@9.0.0 | SHA1:5b8a3a77
        pkg:npm/%40real/name@4.0.0
        pkg:npm/%40s/old@1.0.0 | SHA1:5b8a3a77
        pkg:npm/%40s/p@2.0.0 | MIT OR BSD-3-Clause
        pkg:npm/%40x/y@3.0.0
        pkg:npm/ansi@1.0.5
        pkg:npm/left-pad@1.3.0 | WTFPL | SHA1:5b8a3a77
        pkg:npm/lodash@4.17.21
        pkg:npm/one@1.0.0
        pkg:npm/plain@2.0.0 | SHA1:5b8a3a77
        pkg:npm/real@2.1.0
        pkg:npm/six@1.0.0 | SHA1:5b8a3a77
        pkg:npm/two@2.0.0
        pkg:pypi/attrs@23.1.0 | MIT
        pkg:pypi/certifi@2023.7.22 | SHA256:539cc1d1
        pkg:pypi/flask@2.3.2
        pkg:pypi/six@1.16.0 | MIT
        pkg:pypi/two@1.0
        pkg:pypi/typing-extensions@4.7.1 | SHA256:440d5dd3
    "#]].assert_eq(&listing(&found(&everything())));
}

#[test]
fn one_package_in_two_files_is_one_package() {
    let lock = |at: &str| {
        (
            at.to_owned(),
            "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n",
        )
    };
    let (one, two) = (lock("one/Cargo.lock"), lock("two/Cargo.lock"));
    let tree = MemoryTree::new().with(&one.0, one.1).with(&two.0, two.1);
    let found = found(&tree);
    assert_eq!(found.packages.len(), 1);
    let paths: Vec<&str> = found.packages[0]
        .found_in
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(paths, ["one/Cargo.lock", "two/Cargo.lock"]);
}

#[test]
fn an_alpine_tree_names_its_release() {
    let tree = MemoryTree::new()
        .with("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.18.4\n")
        .with(
            "lib/apk/db/installed",
            "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT BSD-2-Clause\n",
        );
    let found = found(&tree);
    assert_eq!(
        listing(&found),
        "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18.4 | MIT AND BSD-2-Clause\n"
    );
}

#[test]
fn damaged_files_are_problems_and_not_the_end() {
    let tree = MemoryTree::new()
        .with("a/Cargo.lock", "[[package")
        .with("b/composer.lock", "{")
        .with("c/pnpm-lock.yaml", "packages:\n")
        .with("d/Gemfile.lock", "GEM\n    a (1.0)\n");
    expect![[r#"
        pkg:gem/a@1.0
        ! `a/Cargo.lock`: no TOML
        ! `b/composer.lock`: no JSON
        ! `c/pnpm-lock.yaml`: no `lockfileVersion`, so not written by pnpm
    "#]]
    .assert_eq(&listing(&found(&tree)));
}

#[test]
fn limits_are_kept_and_said() {
    let tree = MemoryTree::new()
        .with(
            "a/Cargo.lock",
            "[[package]]\nname=\"a\"\nversion=\"1\"\n[[package]]\nname=\"b\"\nversion=\"1\"\n",
        )
        .with("b/Cargo.lock", " ".repeat(200));
    let limits = Limits {
        file_bytes: 100,
        packages: 1,
        ..Limits::default()
    };
    let found = scan(&tree, &limits).unwrap();
    expect![[r#"
        pkg:cargo/a@1
        ! only the first 1 packages are listed
        ! `b/Cargo.lock`: larger than 100 bytes
    "#]]
    .assert_eq(&listing(&found));
}

/// A tree in which one file may not be read, and of which another cannot be.
struct Guarded(MemoryTree, std::io::ErrorKind);

impl Tree for Guarded {
    fn files(&self) -> std::io::Result<Vec<TreeFile>> {
        self.0.files()
    }

    fn read(&self, path: &str, limit: u64) -> std::io::Result<Vec<u8>> {
        if path.starts_with("guarded") {
            Err(self.1.into())
        } else {
            self.0.read(path, limit)
        }
    }
}

#[test]
fn a_file_that_may_not_be_read_is_a_problem_and_a_broken_disk_the_end() {
    let tree = MemoryTree::new()
        .with("guarded/Cargo.lock", "")
        .with("go.mod", "require a v1\n");
    let denied = Guarded(tree.clone(), std::io::ErrorKind::PermissionDenied);
    expect![[r#"
        pkg:golang/a@v1
        ! `guarded/Cargo.lock`: permission denied
    "#]]
    .assert_eq(&listing(&scan(&denied, &Limits::default()).unwrap()));
    let broken = Guarded(tree, std::io::ErrorKind::Other);
    assert!(scan(&broken, &Limits::default()).is_err());
}

#[test]
fn scripts_of_any_size_are_no_problem() {
    let limits = Limits {
        program_bytes: 100,
        ..Limits::default()
    };
    let script = format!("#!/bin/sh\n{}", "#".repeat(200));
    let tree = MemoryTree::new()
        .with_program("bin/script", script)
        .with_program("bin/program", format!("\x7fELF{}", " ".repeat(200)));
    let found = scan(&tree, &limits).unwrap();
    assert_eq!(found.problems, ["`bin/program`: larger than 100 bytes"]);
}
