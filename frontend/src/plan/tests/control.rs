//! Build arguments that steer the build, and automatic ones.

use super::fixture::{Fixture, build, findings, names, runs};
use expect_test::expect;

#[test]
fn s106_an_index_may_be_forced() {
    let with = |args: &str| {
        let build = build(&format!("//- Dockerfile\nFROM scratch\n//- args {args}\n"));
        assert_eq!(build.plan.multi_platform, build.lowered.multi_platform);
        build.lowered.multi_platform
    };
    assert!(!with("platform=linux/arm64"));
    assert!(with("platform=linux/arm64 platform=linux/amd64"));
    assert!(with("arg:BUILDKIT_MULTI_PLATFORM=1"));
    assert!(with("arg:BUILDKIT_MULTI_PLATFORM=true"));
    assert!(!with("arg:BUILDKIT_MULTI_PLATFORM=0"));
    findings(
        "//- Dockerfile\nFROM scratch\n//- args arg:BUILDKIT_MULTI_PLATFORM=yes\n",
        &expect![[r#"
            error[invalid-multi-platform] line -: invalid boolean value for multi-platform: yes
        "#]],
    );
    findings(
        "//- Dockerfile\nFROM scratch\n//- args arg:BUILDKIT_MULTI_PLATFORM=false platform=linux/arm64 platform=linux/amd64\n",
        &expect![[r#"
            error[invalid-multi-platform] line -: conflicting config: returning multiple target platforms is not allowed
        "#]],
    );
}

#[test]
fn s106_a_forced_index_shows_platforms() {
    names(
        "//- Dockerfile\nFROM debian\nRUN x\n//- args arg:BUILDKIT_MULTI_PLATFORM=1\n",
        &expect![[r#"
            1-1 [linux/amd64 1/2] FROM docker.io/library/debian:latest@D
            2-2 [linux/amd64 2/2] RUN x
        "#]],
    );
}

#[test]
fn arguments_that_steer_need_no_declaration_and_reach_no_step() {
    runs(
        r"
//- Dockerfile
FROM debian
RUN x
//- args arg:BUILDKIT_SYNTAX=docker/dockerfile:1 arg:BUILDKIT_INLINE_CACHE=1 arg:BUILDKIT_BUILD_NAME=n arg:BUILDKIT_DOCKERFILE_CHECK=skip=all arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR=1
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
        "#]],
    );
}

#[test]
fn arguments_about_scans_are_no_variables() {
    runs(
        r"
//- Dockerfile
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM debian
ARG BUILDKIT_SBOM_SCAN_STAGE=true
ARG BUILDKIT_SBOM_SCAN_CONTEXT
ARG OTHER=1
RUN x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["OTHER=1"] in / as ""
        "#]],
    );
}

#[test]
fn every_automatic_argument_can_be_declared() {
    runs(
        r"
//- Dockerfile
FROM --platform=$BUILDPLATFORM debian AS final
ARG BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT BUILDOSVERSION
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT TARGETOSVERSION TARGETSTAGE
RUN x
//- args platform=linux/arm/v7
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["BUILDPLATFORM=linux/amd64", "BUILDOS=linux", "BUILDARCH=amd64", "BUILDVARIANT=", "BUILDOSVERSION=", "TARGETPLATFORM=linux/arm/v7", "TARGETOS=linux", "TARGETARCH=arm", "TARGETVARIANT=v7", "TARGETOSVERSION=", "TARGETSTAGE=final"] in / as ""
        "#]],
    );
}

#[test]
fn s25_mounts_and_copies_may_name_stages_by_platform_only_through_a_stage() {
    let text =
        "ARG TARGETOS\nFROM scratch AS on-linux\nFROM scratch\nCOPY --from=on-$TARGETOS / /\n";
    let found = Fixture::new(text).build().err().unwrap_or_default();
    assert_eq!(
        found.last().map(|error| error.code),
        Some("variable-in-from")
    );
}

#[test]
fn s18_platforms_with_misspelt_arguments_get_a_suggestion() {
    findings(
        "FROM --platform=$TARGTPLATFORM debian\n",
        &expect![[r#"
        warning[UndefinedArgInFrom] line 1 `$TARGTPLATFORM`: FROM argument 'TARGTPLATFORM' is not declared (did you mean TARGETPLATFORM?)
        error[invalid-platform] line 1 `$TARGTPLATFORM`: empty platform value from expression $TARGTPLATFORM (did you mean TARGETPLATFORM?)
    "#]],
    );
    findings(
        "FROM --platform=x-$BUILDPLATFROM debian\n",
        &expect![[r#"
            warning[UndefinedArgInFrom] line 1 `x-$BUILDPLATFROM`: FROM argument 'BUILDPLATFROM' is not declared (did you mean BUILDPLATFORM?)
            error[invalid-platform] line 1 `x-$BUILDPLATFROM`: failed to parse platform x-: `x-` is no platform, expected `os/architecture[/variant]` such as `linux/arm64` (did you mean BUILDPLATFORM?)
        "#]],
    );
}

#[test]
fn s23_stages_and_flags_get_suggestions() {
    findings(
        "FROM scratch\nCOPY --form=x a /\n",
        &expect![[r#"
        error[unknown-flag] line 2 `--form=x`: unknown flag: --form (did you mean from?)
    "#]],
    );
    findings(
        "FROM scratch\nADD --checksun=x a /\n",
        &expect![[r#"
        error[unknown-flag] line 2 `--checksun=x`: unknown flag: --checksun (did you mean checksum?)
    "#]],
    );
    findings(
        "FROM scratch\nCOPPY a /\n",
        &expect![[r#"
        error[unknown-instruction] line 2 `COPPY`: unknown instruction: COPPY (did you mean COPY?)
    "#]],
    );
    findings(
        "FROM scratch\nARG VERSION=1\nENV X=$VERSOIN\n",
        &expect![[r#"
            warning[UndefinedVar] line 3 `$VERSOIN`: Usage of undefined variable '$VERSOIN' (did you mean $VERSION?)
        "#]],
    );
}

#[test]
fn s18_flags_may_be_quoted() {
    runs(
        "FROM scratch\nRUN --mount=\"type=tmpfs,target=/a\" --network='none' x\n",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              network None
              mount /a = tmpfs ReadWrite
        "#]],
    );
}
