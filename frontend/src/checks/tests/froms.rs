//! Checks of FROM.

use super::{check_all, check_with};

#[test]
fn arguments_of_from_are_declared() {
    check_all(&[
        ("declared", "ARG base=scratch\nFROM $base\n", &[]),
        ("automatic", "FROM --platform=$BUILDPLATFORM scratch\n", &[]),
        (
            "declared without a value",
            "ARG DEBUG\nFROM scratch${DEBUG}\n",
            &[],
        ),
        ("with a default", "FROM scra${DEBUG:-tch}\n", &[]),
        (
            "misspelt platform",
            "FROM --platform=$BULIDPLATFORM scratch\n",
            &[
                "UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?) (line 1)",
                "error: empty platform value from expression $BULIDPLATFORM (did you mean BUILDPLATFORM?)",
            ],
        ),
        (
            "part of a tag",
            "ARG tag=latest\nFROM busybox:${tag}${revision} AS b\nCOPY f .\n",
            &["UndefinedArgInFrom: FROM argument 'revision' is not declared (line 2)"],
        ),
        (
            "a declaration without a value is a suggestion, too",
            "ARG TAG\nFROM busybox:1${TAGS}\n",
            &[
                "UndefinedArgInFrom: FROM argument 'TAGS' is not declared (did you mean TAG?) (line 2)",
            ],
        ),
        (
            "in a stage that is not reached",
            "FROM busybox:1$x AS a\nFROM scratch\n",
            &["UndefinedArgInFrom: FROM argument 'x' is not declared (line 1)"],
        ),
    ]);
}

#[test]
fn defaults_make_a_name() {
    check_with(
        &[
            (
                "no version",
                "ARG VERSION\nFROM busybox:$VERSION\n",
                &[
                    "InvalidDefaultArgInFrom: Default value for ARG busybox:$VERSION results in empty or invalid base image name (line 2)",
                ],
            ),
            (
                "nothing",
                "ARG IMAGE\nFROM $IMAGE\n",
                &[
                    "InvalidDefaultArgInFrom: Default value for ARG $IMAGE results in empty or invalid base image name (line 2)",
                ],
            ),
            (
                "a colon too much",
                "ARG SFX=\"box:\"\nFROM busy${SFX}\n",
                &[
                    "InvalidDefaultArgInFrom: Default value for ARG busy${SFX} results in empty or invalid base image name (line 2)",
                ],
            ),
            (
                "a default",
                "ARG VERSION=\"latest\"\nFROM busybox:${VERSION}\n",
                &[],
            ),
            (
                "an empty default that fits",
                "ARG V=\"\"\nFROM busybox:stable${V}\n",
                &[],
            ),
            ("none that fits", "ARG V\nFROM busybox:stable${V}\n", &[]),
        ],
        |request| {
            for (name, value) in [
                ("VERSION", "latest"),
                ("IMAGE", "busybox:latest"),
                ("SFX", "box:latest"),
                ("V", "-musl"),
            ] {
                request.build_args.insert(name.to_owned(), value.to_owned());
            }
        },
    );
}

#[test]
fn the_target_platform_goes_without_saying() {
    check_all(&[
        (
            "plain",
            "FROM --platform=$TARGETPLATFORM scratch\n",
            &[
                "RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 1)",
            ],
        ),
        (
            "in braces",
            "FROM --platform=${TARGETPLATFORM} scratch\n",
            &[
                "RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior (line 1)",
            ],
        ),
        (
            "more than it",
            "FROM --platform=$TARGETOS/$TARGETARCH scratch\n",
            &[],
        ),
        (
            "the other one",
            "FROM --platform=$BUILDPLATFORM scratch\n",
            &[],
        ),
    ]);
}

#[test]
fn platforms_are_not_constant() {
    check_all(&[
        (
            "constant",
            "FROM --platform=linux/amd64 scratch\n",
            &[
                "FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\" (line 1)",
            ],
        ),
        (
            "the stage says so",
            "FROM --platform=linux/amd64 scratch AS my_amd64_stage\n",
            &[],
        ),
        (
            "or its system",
            "FROM --platform=linux/amd64 scratch AS linux\n",
            &[],
        ),
        (
            "a variable",
            "ARG P=linux/amd64\nFROM --platform=$P scratch\n",
            &[],
        ),
    ]);
}

#[test]
fn s109_images_are_for_the_platform() {
    let rows: &[super::Row] = &[
        (
            "another one",
            "FROM debian\nRUN x\n",
            &[
                "InvalidBaseImagePlatform: Base image debian was pulled with platform \"linux/amd64\", expected \"linux/arm64\" for current build (line 1)",
            ],
        ),
        ("no image", "FROM scratch\nCOPY f /\n", &[]),
    ];
    check_with(rows, |request| {
        request.platforms = vec!["linux/arm64".parse().unwrap()];
    });
    check_all(&[("the same", "FROM debian\nRUN x\n", &[])]);
}
