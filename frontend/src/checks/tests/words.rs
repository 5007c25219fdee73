//! Checks of words as they are written.

use super::check_all;

#[test]
fn stage_names_are_lower_case() {
    check_all(&[
        (
            "capitals",
            "FROM scratch AS BadStageName\n",
            &["StageNameCasing: Stage name 'BadStageName' should be lowercase (line 1)"],
        ),
        (
            "in a stage that is not reached",
            "FROM scratch AS Aa\nFROM scratch\n",
            &["StageNameCasing: Stage name 'Aa' should be lowercase (line 1)"],
        ),
        ("lower case", "FROM scratch AS good-name_1\n", &[]),
        ("no name", "FROM scratch\n", &[]),
    ]);
}

#[test]
fn as_is_cased_like_from() {
    check_all(&[
        (
            "lower as",
            "FROM scratch as base\n",
            &["FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"],
        ),
        (
            "upper AS",
            "from scratch AS base\n",
            &["FromAsCasing: 'AS' and 'from' keywords' casing do not match (line 1)"],
        ),
        (
            "mixed As",
            "FROM --platform=$BUILDPLATFORM scratch As base\n",
            &["FromAsCasing: 'As' and 'FROM' keywords' casing do not match (line 1)"],
        ),
        (
            "a mixed FROM is another rule's business",
            "From scratch as base\nFROM scratch AS base2\n",
            &[
                "ConsistentInstructionCasing: Command 'From' should match the case of the command majority (uppercase) (line 1)",
            ],
        ),
        ("both upper", "FROM scratch AS base\n", &[]),
        ("both lower", "from scratch as base\n", &[]),
    ]);
}

#[test]
fn keywords_are_cased_alike() {
    check_all(&[
        (
            "one lower among upper",
            "FROM scratch\ncopy f /foo\nCOPY f /bar\n",
            &[
                "ConsistentInstructionCasing: Command 'copy' should match the case of the command majority (uppercase) (line 2)",
            ],
        ),
        (
            "one upper among lower",
            "from scratch\nCOPY f /foo\ncopy f /bar\n",
            &[
                "ConsistentInstructionCasing: Command 'COPY' should match the case of the command majority (lowercase) (line 2)",
            ],
        ),
        (
            "mixed among lower",
            "frOM scratch as base\nfrom scratch as base2\n",
            &[
                "ConsistentInstructionCasing: Command 'frOM' should match the case of the command majority (lowercase) (line 1)",
            ],
        ),
        (
            "FROM counts like the others",
            "FROM scratch\ncopy f /a\ncopy f /b\n",
            &[
                "ConsistentInstructionCasing: Command 'FROM' should match the case of the command majority (lowercase) (line 1)",
            ],
        ),
        (
            "a tie is upper case",
            "FROM scratch\ncopy f /a\n",
            &[
                "ConsistentInstructionCasing: Command 'copy' should match the case of the command majority (uppercase) (line 2)",
            ],
        ),
        ("all lower", "from scratch\ncopy f /a\n", &[]),
        ("all upper", "FROM scratch\nCOPY f /a\n", &[]),
        (
            "a global ARG is not looked at",
            "arg A=1\nFROM scratch\n",
            &[],
        ),
        (
            "bodies are no keywords",
            "FROM scratch\nRUN <<EOF\nenv\nEOF\n",
            &[],
        ),
    ]);
}

#[test]
fn blank_lines_within_instructions() {
    check_all(&[
        (
            "one",
            "FROM scratch\nCOPY f \\\n\n/\n",
            &["NoEmptyContinuation: Empty continuation line (line 4)"],
        ),
        (
            "two make one warning",
            "FROM scratch\nCOPY f \\\n\n  \n/\n",
            &["NoEmptyContinuation: Empty continuation line (line 5)"],
        ),
        (
            "a comment is none",
            "FROM scratch\nCOPY f \\\n# c\n/\n",
            &[],
        ),
        ("none", "FROM scratch\nCOPY f \\\n/\n", &[]),
    ]);
}

#[test]
fn stage_names_are_unique_and_free() {
    check_all(&[
        (
            "twice",
            "FROM scratch AS b\nFROM scratch AS b\n",
            &[
                "DuplicateStageName: Duplicate stage name \"b\", stage names should be unique (line 2)",
            ],
        ),
        (
            "case counts for nothing",
            "FROM scratch AS b\nFROM scratch AS c\nFROM scratch AS B\n",
            &[
                "StageNameCasing: Stage name 'B' should be lowercase (line 3)",
                "DuplicateStageName: Duplicate stage name \"b\", stage names should be unique (line 3)",
            ],
        ),
        (
            "different ones",
            "FROM scratch AS b1\nFROM scratch AS b2\n",
            &[],
        ),
        (
            "reserved",
            "FROM scratch AS scratch\nFROM scratch AS context\n",
            &[
                "ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\" (line 1)",
                "ReservedStageName: Stage name should not use the same name as reserved stage \"context\" (line 2)",
            ],
        ),
        (
            "a reserved base is fine",
            "FROM scratch\nFROM scratch AS a\n",
            &[],
        ),
    ]);
}

#[test]
fn authors_are_labels() {
    check_all(&[
        (
            "MAINTAINER",
            "FROM scratch\nMAINTAINER me@example.org\n",
            &[
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)",
            ],
        ),
        (
            "LABEL",
            "FROM scratch\nLABEL org.opencontainers.image.authors=\"me@example.org\"\n",
            &[],
        ),
    ]);
}

#[test]
fn commands_are_json() {
    const CMD: &str = "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 2)";
    check_all(&[
        ("CMD", "FROM scratch\nCMD mycommand\n", &[CMD]),
        (
            "ENTRYPOINT",
            "FROM scratch\nENTRYPOINT mycommand\n",
            &[
                "JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals (line 2)",
            ],
        ),
        (
            "broken JSON is a shell form",
            "FROM scratch\nCMD [\"a\",]\n",
            &[CMD],
        ),
        (
            "JSON",
            "FROM scratch\nCMD [\"a\"]\nENTRYPOINT [\"b\"]\n",
            &[],
        ),
        (
            "after SHELL",
            "FROM scratch\nSHELL [\"/s\"]\nCMD mycommand\n",
            &[],
        ),
        (
            "after SHELL of the stage below",
            "FROM scratch AS a\nSHELL [\"/s\"]\nFROM a\nENTRYPOINT c\n",
            &[],
        ),
        ("RUN may use the shell", "FROM scratch\nRUN x\n", &[]),
    ]);
}

#[test]
fn commands_count_once() {
    const TEXT: &str =
        "should not be used in the same stage because only the last one will be used";
    let many = |name: &str, line: u32| {
        format!("MultipleInstructionsDisallowed: Multiple {name} instructions {TEXT} (line {line})")
    };
    let found = super::shown(&super::linted(
        "FROM scratch\nENTRYPOINT [\"a\"]\nCMD [\"a\"]\nHEALTHCHECK CMD [\"a\"]\nCOPY f /\nENTRYPOINT [\"b\"]\nCMD [\"b\"]\nHEALTHCHECK CMD [\"b\"]\n",
        &super::request(),
    ));
    assert_eq!(
        found,
        [
            many("ENTRYPOINT", 2),
            many("CMD", 3),
            many("HEALTHCHECK", 4)
        ]
    );
    check_all(&[(
        "one a stage",
        "FROM scratch AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\nHEALTHCHECK NONE\n",
        &[],
    )]);
}

#[test]
fn pairs_have_an_equals_sign() {
    check_all(&[
        (
            "ENV and LABEL",
            "FROM scratch\nENV testkey value\nLABEL key value\n",
            &[
                "LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (line 2)",
                "LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format (line 3)",
            ],
        ),
        (
            "with it",
            "FROM scratch\nENV testkey=value\nLABEL key=value\n",
            &[],
        ),
        (
            "the line is that of the instruction",
            "FROM scratch\nENV \\\n  testkey value\n",
            &[
                "LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (line 2)",
            ],
        ),
    ]);
}

#[test]
fn ports_are_ports() {
    check_all(&[
        (
            "protocol in capitals",
            "FROM scratch\nEXPOSE 80/TcP 81/udp\n",
            &[
                "ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase (line 2)",
            ],
        ),
        (
            "out of a variable",
            "FROM scratch\nARG P=53/UDP\nEXPOSE $P\n",
            &[
                "ExposeProtoCasing: Defined protocol '53/UDP' in EXPOSE instruction should be lowercase (line 3)",
            ],
        ),
        (
            "an address",
            "FROM scratch\nEXPOSE 127.0.0.1:80:80\n",
            &[
                "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80' (line 2)",
            ],
        ),
        (
            "a mapping",
            "FROM scratch\nEXPOSE 8080:80/TCP\n",
            &[
                "ExposeProtoCasing: Defined protocol '8080:80/TCP' in EXPOSE instruction should be lowercase (line 2)",
                "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '8080:80/TCP' (line 2)",
            ],
        ),
        ("plain", "FROM scratch\nEXPOSE 80 81/tcp 90-95/udp\n", &[]),
    ]);
}

#[test]
fn descriptions_name_what_they_describe() {
    check_all(&[
        ("not asked for", "FROM scratch\n# bad\nARG foo=bar\n", &[]),
        (
            "right ones",
            "# check=experimental=InvalidDefinitionDescription\n# foo this is the foo\nARG foo=bar\n\n# base this is the base image\nFROM scratch AS base\n\n# baz this is the baz\nARG foo=baz bar=qux baz=quux\n#\nARG bit=bat\n\n# comment for something else\nCOPY Dockerfile .\n",
            &[],
        ),
        (
            "wrong ones",
            "# check=experimental=all\n# bar this is the bar\nARG foo=bar\n# BasE this is the BasE image\nFROM scratch AS base\n# definitely a bad comment\nARG version=latest\n# definitely a bad comment\nARG foo=baz bar=qux baz=quux\n",
            &[
                "InvalidDefinitionDescription: Comment for ARG should follow the format: `# foo <description>` (line 3)",
                "InvalidDefinitionDescription: Comment for FROM should follow the format: `# base <description>` (line 5)",
                "InvalidDefinitionDescription: Comment for ARG should follow the format: `# version <description>` (line 7)",
                "InvalidDefinitionDescription: Comment for ARG should follow the format: `# <arg_key> <description>` (line 9)",
            ],
        ),
        (
            "a stage without a name has no description",
            "# check=experimental=all\n\n# anything\nFROM scratch\n",
            &[],
        ),
        (
            "an empty comment sets apart",
            "# check=experimental=all\n\n# anything\n#\nARG a=1\nFROM scratch\n",
            &[],
        ),
        (
            "a setting is no description",
            "# check=experimental=all\n\n# check=skip=UndefinedVar\nARG a=1\nFROM scratch\n",
            &[],
        ),
    ]);
}
