#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes strings with them"
)]

use super::{
    describe, describe_text, json, lint, lint_text, outline, outline_text, targets, targets_text,
};
use crate::call::Linted;
use crate::pins::Pins;
use crate::request::{NamedContext, PlanRequest};
use crate::source::SourceFile;
use expect_test::{Expect, expect};

fn request(target: &str, args: &[(&str, &str)]) -> PlanRequest {
    let mut request = PlanRequest::new("linux/amd64".parse().unwrap());
    request.target = Some(target.to_owned());
    for (name, value) in args {
        request
            .build_args
            .insert((*name).to_owned(), (*value).to_owned());
    }
    request
}

/// The outline as `name=value # description (line)`, by kind.
fn outlined(text: &str, request: &PlanRequest) -> String {
    let source = SourceFile::new("Dockerfile", text);
    let outline = outline(&source, request, &Pins::default()).unwrap();
    let line = |location: &super::Location| location.lines().unwrap().first;
    let mut out = format!("{}: {}\n", outline.name, outline.description);
    for it in &outline.args {
        let line = line(&it.location);
        out += &format!(
            "arg {}={} # {} ({line})\n",
            it.name, it.value, it.description
        );
    }
    for (kind, list) in [("secret", &outline.secrets), ("ssh", &outline.ssh)] {
        for it in list {
            out += &format!(
                "{kind} {} {} ({})\n",
                it.name,
                it.required,
                line(&it.location)
            );
        }
    }
    for it in &outline.cache {
        out += &format!("cache {} ({})\n", it.id, line(&it.location));
    }
    out
}

#[track_caller]
fn check(text: &str, request: &PlanRequest, expected: &Expect) {
    expected.assert_eq(&outlined(text, request));
}

const ARGS: &str = r#"
ARG inherited=box
ARG inherited2=box2
ARG unused=abc${inherited2}
# sfx is a suffix
ARG sfx="usy${inherited}"

FROM b${sfx} AS first
# this is not assigned to anything
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN true

FROM alpine${unused} AS second
ARG BAZ
RUN true

FROM scratch AS third
ARG ABC=a

# target defines build target
FROM third AS target
COPY --from=first /etc/passwd /

FROM second
"#;

#[test]
fn arguments_are_those_of_the_stages_reached() {
    check(
        ARGS,
        &request("target", &[("BAR", "678")]),
        &expect![[r#"
            target: defines build target
            arg inherited=box #  (2)
            arg sfx=usybox # is a suffix (6)
            arg FOO=123 #  (10)
            arg BAR=678 # is a number (12)
            arg ABC=a #  (20)
        "#]],
    );
    check(
        ARGS,
        &request("", &[]),
        &expect![[r#"
            : 
            arg inherited2=box2 #  (3)
            arg unused=abcbox2 #  (4)
            arg BAZ= #  (16)
        "#]],
    );
}

#[test]
fn arguments_made_of_themselves_are_told_once() {
    check(
        "ARG FOO=123\nARG ABC=abc\nARG DEF=def\nARG FOO=${FOO}${ABC}\nARG BAR=${FOO}456\nARG FOO=${FOO}456${BAR}\nFROM scratch\nARG FOO\nARG INFOO=123\nARG INBAR=${INFOO}456\nARG INFOO=${INFOO}456${INBAR}\n",
        &request("", &[]),
        &expect![[r#"
            : 
            arg ABC=abc #  (2)
            arg BAR=123abc456 #  (5)
            arg FOO=123abc456123abc456 #  (6)
            arg INBAR=123456 #  (10)
            arg INFOO=123456123456 #  (11)
        "#]],
    );
}

#[test]
fn secrets_agents_and_caches_are_those_of_the_stages_reached() {
    check(
        "FROM busybox AS first\nRUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true\n\nFROM alpine AS second\nRUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true\n\nFROM scratch AS third\nARG BAR\nRUN --mount=type=secret,id=second${BAR} --mount=type=cache,target=/root/.cache true\n\nFROM third AS target\nCOPY --from=first /foo /\nRUN --mount=type=ssh,id=ssh3,required --mount=type=cache,id=go,target=/go --mount=type=cache,id=go,target=/b true\n\nFROM second\n",
        &request("target", &[("BAR", "678")]),
        &expect![[r#"
            target: 
            arg BAR=678 #  (8)
            secret passwd true (2)
            secret second678 false (9)
            ssh default false (2)
            ssh ssh3 true (13)
            cache /root/.cache (9)
            cache go (13)
        "#]],
    );
}

#[test]
fn automatic_arguments_and_env_fill_in_defaults() {
    check(
        "FROM scratch AS a\nENV V=1\nARG HIDDEN=2\nFROM a\nARG TARGETARCH\nARG NAME=app-$TARGETARCH-$V-$HIDDEN\n",
        &request("", &[]),
        &expect![[r#"
            : 
            arg HIDDEN=2 #  (3)
            arg NAME=app-amd64-1- #  (6)
        "#]],
    );
}

#[test]
fn mounts_bring_their_stages_and_contexts_replace_them() {
    let text = "FROM scratch AS a\nARG A=1\nFROM scratch AS b\nARG B=2\nFROM scratch\nRUN --mount=from=a,target=/a --mount=from=1,target=/b x\n";
    check(
        text,
        &request("", &[]),
        &expect![[r#"
            : 
            arg A=1 #  (2)
            arg B=2 #  (4)
        "#]],
    );
    let mut request = request("", &[]);
    request.contexts.insert("A".to_owned(), NamedContext::Local);
    check(
        text,
        &request,
        &expect![[r#"
            : 
            arg B=2 #  (4)
        "#]],
    );
}

#[test]
fn outlines_of_what_cannot_be() {
    let error = |text: &str, target: &str| {
        let source = SourceFile::new("Dockerfile", text);
        let errors = outline(&source, &request(target, &[]), &Pins::default()).unwrap_err();
        errors[0].message.clone()
    };
    assert_eq!(
        error("FROM scratch AS build\n", "bild"),
        "target stage \"bild\" could not be found (did you mean build?)"
    );
    assert_eq!(
        error("FORM scratch\n", ""),
        "unknown instruction: FORM (did you mean FROM?)"
    );
    assert_eq!(error("", ""), "the Dockerfile cannot be empty");
}

#[test]
fn outlines_render() {
    let source = SourceFile::new("Dockerfile", ARGS);
    let found = outline(&source, &request("target", &[]), &Pins::default()).unwrap();
    expect![[r#"
        TARGET:      target
        DESCRIPTION: defines build target

        BUILD ARG   VALUE    DESCRIPTION
        inherited   box      
        sfx         usybox   is a suffix
        FOO         123      
        BAR         456      is a number
        ABC         a        

    "#]]
    .assert_eq(&outline_text(&found));
    let source = SourceFile::new(
        "Dockerfile",
        "FROM scratch\nRUN --mount=type=secret,id=a --mount=type=ssh,required --mount=type=cache,target=/c x\n",
    );
    let found = outline(&source, &request("", &[]), &Pins::default()).unwrap();
    expect![[r#"
        SECRET   REQUIRED
        a        

        SSH       REQUIRED
        default   true

        CACHE MOUNT
        /c

    "#]]
    .assert_eq(&outline_text(&found));
    expect![[r#"{"cache":[{"ID":"/c","location":{"ranges":[{"end":{"line":2},"start":{"line":2}}]}}],"secrets":[{"location":{"ranges":[{"end":{"line":2},"start":{"line":2}}]},"name":"a"}],"sources":["RlJPTSBzY3JhdGNoClJVTiAtLW1vdW50PXR5cGU9c2VjcmV0LGlkPWEgLS1tb3VudD10eXBlPXNzaCxyZXF1aXJlZCAtLW1vdW50PXR5cGU9Y2FjaGUsdGFyZ2V0PS9jIHgK"],"ssh":[{"location":{"ranges":[{"end":{"line":2},"start":{"line":2}}]},"name":"default","required":true}]}"#]]
    .assert_eq(&json(&found));
}

#[test]
fn stages_are_listed() {
    let source = SourceFile::new(
        "Dockerfile",
        "# build makes it\nFROM --platform=$BUILDPLATFORM golang:1 AS build\n\n# something else\nFROM alpine\nFROM scratch AS bin\n",
    );
    let found = targets(&source).unwrap();
    expect![[r#"
        TARGET        DESCRIPTION
        build         makes it
                      
        bin (default) 
    "#]]
    .assert_eq(&targets_text(&found));
    expect![[r#"{"sources":["IyBidWlsZCBtYWtlcyBpdApGUk9NIC0tcGxhdGZvcm09JEJVSUxEUExBVEZPUk0gZ29sYW5nOjEgQVMgYnVpbGQKCiMgc29tZXRoaW5nIGVsc2UKRlJPTSBhbHBpbmUKRlJPTSBzY3JhdGNoIEFTIGJpbgo="],"targets":[{"base":"golang:1","description":"makes it","location":{"ranges":[{"end":{"line":2},"start":{"line":2}}]},"name":"build","platform":"$BUILDPLATFORM"},{"base":"alpine","location":{"ranges":[{"end":{"line":5},"start":{"line":5}}]}},{"base":"scratch","default":true,"location":{"ranges":[{"end":{"line":6},"start":{"line":6}}]},"name":"bin"}]}"#]]
    .assert_eq(&json(&found));
    let alone = SourceFile::new("Dockerfile", "FROM scratch\n");
    assert_eq!(
        targets_text(&targets(&alone).unwrap()),
        "TARGET    DESCRIPTION\n(default) \n"
    );
}

fn linted(text: &str) -> super::LintResult {
    let source = SourceFile::new("Dockerfile", text);
    match lint(&source, &request("", &[]), &Pins::default()) {
        Linted::Done(result) => result,
        Linted::Needs(needs, _) => panic!("{needs:?}"),
    }
}

#[test]
fn warnings_render_as_elsewhere() {
    let text = "FROM scratch AS Base\nCOPY \\\n  $x .\nMAINTAINER me\n";
    let source = SourceFile::new("Dockerfile", text);
    expect![[r#"
        Check complete, 3 warnings have been found!

        WARNING: StageNameCasing - docs/checks/stage-name-casing.md
        Stage name 'Base' should be lowercase
        Dockerfile:1
        --------------------
           1 | >>> FROM scratch AS Base
           2 |     COPY \
           3 |       $x .
        --------------------

        WARNING: UndefinedVar - docs/checks/undefined-var.md
        Usage of undefined variable '$x'
        Dockerfile:2
        --------------------
           1 |     FROM scratch AS Base
           2 | >>> COPY \
           3 | >>>   $x .
           4 |     MAINTAINER me
        --------------------

        WARNING: MaintainerDeprecated - docs/checks/maintainer-deprecated.md
        Maintainer instruction is deprecated in favor of using label
        Dockerfile:4
        --------------------
           2 |     COPY \
           3 |       $x .
           4 | >>> MAINTAINER me
           5 |     
        --------------------
    "#]]
    .assert_eq(&lint_text(&linted(text), &source));
    let fine = "FROM scratch\n";
    let source = SourceFile::new("Dockerfile", fine);
    assert_eq!(
        lint_text(&linted(fine), &source),
        "Check complete, no warnings found.\n"
    );
}

#[test]
fn warnings_and_errors_serialise_as_elsewhere() {
    expect![[r#"{"buildError":{"location":{"ranges":[{"end":{"line":2},"start":{"line":2}}]},"message":"unknown instruction: X"},"sources":[{"data":"RlJPTSBzY3JhdGNoIEFTIEIKWAo=","filename":"Dockerfile","language":"Dockerfile"}],"warnings":[{"description":"Stage names should be lowercase","detail":"Stage name 'B' should be lowercase","location":{"ranges":[{"end":{"line":1},"start":{"line":1}}]},"ruleName":"StageNameCasing","url":"docs/checks/stage-name-casing.md"}]}"#]]
    .assert_eq(&json(&linted("FROM scratch AS B\nX\n")));
    assert_eq!(
        json(&linted("FROM scratch\n")),
        r#"{"sources":[{"data":"RlJPTSBzY3JhdGNoCg==","filename":"Dockerfile","language":"Dockerfile"}],"warnings":[]}"#
    );
}

#[test]
fn what_is_missing_comes_with_what_is_known() {
    let source = SourceFile::new("Dockerfile", "FROM debian AS B\nCOPY f /\n");
    let Linted::Needs(needs, known) = lint(&source, &request("", &[]), &Pins::default()) else {
        panic!("the image is missing");
    };
    assert_eq!(needs.len(), 1);
    assert_eq!(known.warnings.len(), 1);
    assert_eq!(known.build_error, None);
}

#[test]
fn the_questions_are_listed() {
    expect![[r#"
        NAME                 VERSION DESCRIPTION
        lint                 1.0.0   Lint a Dockerfile
        outline              1.0.0   List all parameters current build target supports
        targets              1.0.0   List all targets current build supports
        subrequests.describe 1.0.0   List available subrequest types
    "#]]
    .assert_eq(&describe_text(&describe()));
    assert!(json(&describe()).starts_with(
        r#"[{"Description":"Lint a Dockerfile","Metadata":[{"Description":"","Name":"result.json"}"#
    ));
}
