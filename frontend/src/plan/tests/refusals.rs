//! What fails, with which words and where.

use super::fixture::{Fixture, findings};
use expect_test::expect;

#[test]
fn what_is_switched_off_is_accepted() {
    for line in [
        "RUN --security=sandbox y",
        "COPY --link=false --parents=false a /",
        "COPY --link --chmod=644 a /",
        "ADD --link=false --keep-git-dir=false --unpack=true a /",
    ] {
        assert!(
            Fixture::new(&format!("FROM scratch\n{line}\n"))
                .build()
                .is_ok(),
            "{line}"
        );
    }
}

#[test]
fn bases_that_cannot_be() {
    findings(
        "FROM $NONE\n",
        &expect![[r#"
            warning[InvalidDefaultArgInFrom] line 1 `$NONE`: Default value for ARG $NONE results in empty or invalid base image name
                hint: give the ARG a default that makes the name of an image
            warning[UndefinedArgInFrom] line 1 `$NONE`: FROM argument 'NONE' is not declared
            error[blank-base] line 1 `$NONE`: base name ($NONE) should not be blank
                hint: declare the ARG in front of the first FROM and give it a default
        "#]],
    );
    findings(
        "ARG TAG=1\nFROM debian:$TAGS\n",
        &expect![[r#"
            warning[InvalidDefaultArgInFrom] line 2 `debian:$TAGS`: Default value for ARG debian:$TAGS results in empty or invalid base image name
                hint: give the ARG a default that makes the name of an image
            warning[UndefinedArgInFrom] line 2 `debian:$TAGS`: FROM argument 'TAGS' is not declared (did you mean TAG?)
            error[invalid-reference] line 2 `debian:$TAGS`: invalid reference `debian:`: the tag must be up to 128 letters, digits, `_`, `.` or `-`
        "#]],
    );
    findings(
        "FROM Debian\n",
        &expect![[r#"
        error[invalid-reference] line 1 `Debian`: invalid reference `Debian`: the repository name must be lower case
    "#]],
    );
    findings(
        "FROM --platform=$NONE debian\n",
        &expect![[r#"
            warning[UndefinedArgInFrom] line 1 `$NONE`: FROM argument 'NONE' is not declared
            error[invalid-platform] line 1 `$NONE`: empty platform value from expression $NONE
        "#]],
    );
    findings(
        "FROM --platform=linux debian\n",
        &expect![[r#"
        error[invalid-platform] line 1 `linux`: failed to parse platform linux: `linux` is no platform, expected `os/architecture[/variant]` such as `linux/arm64`
    "#]],
    );
}

#[test]
fn files_without_stages() {
    findings(
        "ARG A=1\n",
        &expect![[r#"
        error[no-stages] line -: dockerfile contains no stages to build
    "#]],
    );
    findings(
        "RUN x\nFROM scratch\n",
        &expect![[r#"
        error[no-build-stage] line 1 `RUN`: no build stage in current context
            hint: only ARG may stand before the first FROM
    "#]],
    );
}

#[test]
fn expansion_errors_point_at_the_word() {
    findings(
        "FROM scratch\nENV a=${b:?is missing}\n",
        &expect![[r#"
        error[missing-equals] line 2 `missing}`: Syntax error - can't find = in "missing}". Must be of the form: name=value
    "#]],
    );
    findings(
        "FROM scratch\nCOPY a${ /\n",
        &expect![[r#"
        error[expansion] line 2 `a${`: syntax error: missing '}'
    "#]],
    );
    findings(
        "FROM scratch\nVOLUME $x\n",
        &expect![[r#"
        error[blank-volume] line 2 `$x`: VOLUME specified can not be an empty string
    "#]],
    );
}

#[test]
fn unknown_no_cache_filters_are_named() {
    findings(
        "//- Dockerfile\nFROM scratch AS build\n//- args filter=biuld\n",
        &expect![[r#"
        warning[unknown-no-cache-filter] line -: no stage is called "biuld", so --no-cache-filter=biuld does nothing (did you mean build?)
    "#]],
    );
}
