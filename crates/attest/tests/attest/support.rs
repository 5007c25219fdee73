use acetate_attest::sbom::{DocumentInfo, Found, Limits, MemoryTree, scan};
use acetate_oci::{Digest, Timestamp};
use serde_json::Value;
use std::path::PathBuf;

/// Compares with a golden file; `UPDATE_EXPECT=1` writes it.
pub(crate) fn golden(name: &str, value: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/attest/golden")
        .join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    expect_test::expect_file![path].assert_eq(&text);
}

pub(crate) fn found(tree: &MemoryTree) -> Found {
    scan(tree, &Limits::default()).unwrap()
}

pub(crate) fn info() -> DocumentInfo {
    DocumentInfo {
        name: "sbom".to_owned(),
        created: Timestamp::new(1_700_000_000, 5),
        tool_version: "0.1.0".to_owned(),
        scanned: Some(Digest::of(b"image")),
    }
}

/// `purl` or `purl | licence | algorithm:first digits`, a line each.
pub(crate) fn listing(found: &Found) -> String {
    let line = |package: &acetate_attest::sbom::Package| {
        let mut parts = vec![package.purl()];
        parts.extend(package.license.clone());
        parts.extend(
            package
                .checksums
                .iter()
                .map(|(a, hex)| format!("{}:{}", a.spdx(), &hex[..8])),
        );
        parts.join(" | ") + "\n"
    };
    let problems = found
        .problems
        .iter()
        .map(|problem| format!("! {problem}\n"));
    found.packages.iter().map(line).chain(problems).collect()
}

/// A tree with a file of every kind that is read.
pub(crate) fn everything() -> MemoryTree {
    MemoryTree::new()
        .with("etc/os-release", "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n")
        .with("var/lib/dpkg/status", DPKG)
        .with("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\nMaintainer: GNU Libc <g@d.org>\n")
        .with("var/lib/dpkg/status.d/tzdata.md5sums", "Package: not\nVersion: 1\n")
        .with("usr/share/doc/libc6/copyright", COPYRIGHT)
        .with("lib/apk/db/installed", APK)
        .with("app/Cargo.lock", CARGO)
        .with("web/package-lock.json", NPM3)
        .with("old/package-lock.json", NPM1)
        .with("web/node_modules/left-pad/package.json", "{\"name\":\"left-pad\",\"version\":\"1.3.0\",\"license\":\"WTFPL\"}")
        .with("web/node_modules/@s/p/package.json", "{\"name\":\"@s/p\",\"version\":\"2.0.0\",\"licenses\":[{\"type\":\"MIT\"},{\"type\":\"BSD-3-Clause\"}]}")
        .with("y1/yarn.lock", YARN1)
        .with("y2/yarn.lock", YARN2)
        .with("pnpm5/pnpm-lock.yaml", PNPM5)
        .with("pnpm6/pnpm-lock.yaml", PNPM6)
        .with("pnpm9/pnpm-lock.yaml", PNPM9)
        .with("go/go.mod", GO_MOD)
        .with("py/requirements-dev.txt", REQUIREMENTS)
        .with("py/poetry.lock", POETRY)
        .with("usr/lib/python3/site-packages/attrs-23.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: attrs\nVersion: 23.1.0\nClassifier: License :: OSI Approved :: MIT License\nHome-page: https://www.attrs.org/\n\nName: body\n")
        .with("usr/lib/python3/dist-packages/six.egg-info/PKG-INFO", "Metadata-Version: 2.1\r\nName: six\r\nVersion: 1.16.0\r\nLicense: MIT\r\n")
        .with("rb/Gemfile.lock", GEM)
        .with("php/composer.lock", COMPOSER)
        .with_program("usr/bin/app", go_program())
        .with_program("usr/bin/sh", "\x7fELF nothing here")
}

/// An ELF file as far as Go's information needs one.
pub(crate) fn go_program() -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.resize(64, 0);
    bytes.extend_from_slice(b"\xff Go buildinf:\x08\x02");
    bytes.resize(64 + 32, 0);
    let info = "0123456789abcdefpath\texample.com/app\nmod\texample.com/app\t(devel)\t\n\
                dep\tgithub.com/A/B\tv1.2.3\th1:x=\ndep\tgolang.org/x/net\tv0.1.0\n\
                =>\tgolang.org/x/net\tv0.2.0\th1:y=\nbuild\t-compiler=gc\n0123456789abcdef";
    for text in ["go1.22.1", info] {
        let (low, high) = (text.len() & 0x7f, text.len() >> 7);
        if high > 0 {
            bytes.push(u8::try_from(low).unwrap() | 0x80);
            bytes.push(u8::try_from(high).unwrap());
        } else {
            bytes.push(u8::try_from(low).unwrap());
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

const DPKG: &str = "\
Package: libc6
Status: install ok installed
Priority: optional
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Description: GNU C Library: Shared libraries
 Contains: the standard libraries
Homepage: https://www.gnu.org/software/libc/libc.html

Package: gone
Status: deinstall ok config-files
Version: 1

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14
";
const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 1991 FSF
License: LGPL-2.1+

Files: debian/*
License: Expat

License: LGPL-2.1+
 text
";
const APK: &str = "\
C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:musl
V:1.2.4-r2
A:x86_64
S:383152
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo Teras <timo.teras@iki.fi>
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1

P:busybox
V:1.36.1-r5
A:x86_64
L:GPL-2.0-only
a:other
";
const CARGO: &str = "\
version = 3

[[package]]
name = \"serde\"
version = \"1.0.200\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"ddc6f9cc94d67c0e21aaf7eda3a010fd3af78ebf6e096aa6e2e13c79749cce4f\"

[[package]]
name = \"own\"
version = \"0.1.0\"

[[package]]
name = \"forked\"
version = \"0.2.0\"
source = \"git+https://user:secret@example.com/forked.git#0123\"
";
const NPM3: &str = r#"{"lockfileVersion":3,"packages":{
"":{"name":"web","version":"1.0.0"},
"node_modules/left-pad":{"version":"1.3.0","license":"WTFPL","integrity":"sha1-W4o6d2xFmHTaBDn/nK2GyqLLUP4="},
"node_modules/alias":{"name":"@real/name","version":"4.0.0"},
"node_modules/a/node_modules/@b/c":{"version":"0.0.1","license":{"type":"ISC"}},
"packages/own":{"version":"1.0.0"},
"node_modules/own":{"link":true,"resolved":"packages/own"}}}"#;
const NPM1: &str = r#"{"lockfileVersion":1,"dependencies":{
"one":{"version":"1.0.0","dependencies":{"two":{"version":"2.0.0"}}},
"als":{"version":"npm:@x/y@3.0.0"}}}"#;
const YARN1: &str = r#"# yarn lockfile v1


"@babel/code-frame@^7.0.0", "@babel/code-frame@^7.8.3":
  version "7.10.4"
  resolved "https://registry/x.tgz#168da1a36e90da68ae8d49c0f1b48c7c6249213a"
  integrity sha512-vG6SvB6oYEhvgisZNFRmRCUkLz11c7rp+tbNTynGqc6mS1d5ATd/sGyV6W0KZZnXRKMTzZDRgQT3Ou9jhpAfUg==
  dependencies:
    "@babel/highlight" "^7.10.4"

ansi@1, ansi@^1.0:
  version "1.0.5"

alias@npm:real@^2:
  version "2.1.0"
"#;
const YARN2: &str = r#"__metadata:
  version: 6

"lodash@npm:^4.17.0":
  version: 4.17.21
  resolution: "lodash@npm:4.17.21"
  checksum: eb835a2e51d381e561
  languageName: node

"me@workspace:.":
  version: 0.0.0-use.local
  resolution: "me@workspace:."
"#;
const PNPM5: &str = "\
lockfileVersion: 5.4

packages:

  /@s/old/1.0.0_react@17.0.2:
    resolution: {integrity: sha1-W4o6d2xFmHTaBDn/nK2GyqLLUP4=}
    dev: false

  /plain/2.0.0:
    resolution: {integrity: sha1-W4o6d2xFmHTaBDn/nK2GyqLLUP4=}
";
const PNPM6: &str = "\
lockfileVersion: '6.0'

dependencies:
  six:
    specifier: ^1
    version: 1.0.0

packages:

  /six@1.0.0(peer@2.0.0):
    resolution:
      integrity: sha1-W4o6d2xFmHTaBDn/nK2GyqLLUP4=

settings:
  not: one
";
const PNPM9: &str = "\
lockfileVersion: '9.0'

packages:

  '@n/nine@9.0.0':
    resolution: {integrity: sha1-W4o6d2xFmHTaBDn/nK2GyqLLUP4=}
    engines: {node: '>=18'}

  file@file:../x:
    resolution: {directory: ../x}

snapshots:

  '@n/nine@9.0.0': {}
";
const GO_MOD: &str = "\
module example.com/app // the app

go 1.22

require github.com/BurntSushi/toml v1.3.2
require (
	golang.org/x/text v0.14.0 // indirect
	example.com/local v0.0.0
	example.com/moved v1.0.0
)

replace example.com/local => ./local
replace example.com/moved v1.0.0 => example.com/fork v1.0.1
";
const REQUIREMENTS: &str = "\
# comment
-r other.txt
Flask[async]==2.3.2 ; python_version > '3.7'
requests>=2
ranges==1.*
certifi==2023.7.22 --hash=sha256:539cc1d13202e33ca466e88b2807e29f4c13049d6d87031a3c110744495cb082
two==1.0 \\
    --hash=sha256:539cc1d13202e33ca466e88b2807e29f4c13049d6d87031a3c110744495cb082 \\
    --hash=sha256:92d6037539857d8206b8f6ae472e8b77db8058fec5937a1ef3f54304089edbb9
";
const POETRY: &str = "\
[[package]]
name = \"Typing_Extensions\"
version = \"4.7.1\"
files = [
    {file = \"x.whl\", hash = \"sha256:440d5dd3af93b060174bf433bccd69b0babc3b15b1a8dca43789fd7f61514b36\"},
]
";
const GEM: &str = "\
GEM
  remote: https://rubygems.org/
  specs:
    nokogiri (1.15.4-x86_64-linux)
      racc (~> 1.4)
    racc (1.7.1)

PLATFORMS
  ruby

DEPENDENCIES
  nokogiri (= 1.15.4)

CHECKSUMS
  racc (1.7.1) sha256=8a2bf53ae98db1df2ea0fd3f8c4e3c0a7c2ce1a38f5d8fef1ea5bb6a3a1d9c3e
";
const COMPOSER: &str = r#"{"packages":[{"name":"Symfony/console","version":"v6.3.4","license":["MIT"],
"dist":{"shasum":"eca495f2ee845130855ddf1cf18460c38966c8b6"},"homepage":"https://symfony.com"}],
"packages-dev":[{"name":"a/b","version":"1.0","license":["GPL-2.0-only","proprietary"]}]}"#;
