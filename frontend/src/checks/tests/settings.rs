//! What directives, comments and the request do to warnings.

use super::{Row, check_all, check_with, linted, request, shown};

const AS: &str = "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)";
const COPY: &str = "ConsistentInstructionCasing: Command 'copy' should match the case of the command majority (uppercase) (line 3)";

#[test]
fn s113_directives_skip_and_fail() {
    check_all(&[
        (
            "nothing set",
            "#\nFROM scratch as base\ncopy f .\n",
            &[AS, COPY],
        ),
        (
            "all",
            "#check=skip=all\nFROM scratch as base\ncopy f .\n",
            &[],
        ),
        (
            "all, and fail",
            "#check=skip=all;error=true\nFROM scratch as base\ncopy f .\n",
            &[],
        ),
        (
            "two",
            "# check=skip=ConsistentInstructionCasing,FromAsCasing;error=true\nFROM scratch as base\ncopy f .\n",
            &[],
        ),
        (
            "one",
            "#check=skip=ConsistentInstructionCasing\nFROM scratch as base\ncopy f .\n",
            &[AS],
        ),
        (
            "one, and fail",
            "#check=skip=ConsistentInstructionCasing;error=true\nFROM scratch as base\ncopy f .\n",
            &[AS, "error: lint violation found for rules: FromAsCasing"],
        ),
        (
            "fail for all, each once, after all were told",
            "#check=error=true\nFROM scratch as base\ncopy f .\ncopy $x .\nCOPY g .\nCOPY h .\n",
            &[
                AS,
                COPY,
                "ConsistentInstructionCasing: Command 'copy' should match the case of the command majority (uppercase) (line 4)",
                "UndefinedVar: Usage of undefined variable '$x' (line 4)",
                "error: lint violation found for rules: ConsistentInstructionCasing, FromAsCasing, UndefinedVar",
            ],
        ),
        (
            "nothing to fail for",
            "# check=error=true\nFROM scratch\nCOPY f .\n",
            &[],
        ),
        (
            "an error of another kind is the error",
            "# check=error=true\nFROM scratch as base\nCOPY --from=9 f .\n",
            &[AS, "error: invalid stage index 9"],
        ),
    ]);
}

#[test]
fn s113_the_build_argument_takes_the_place_of_the_directive() {
    let with = |value: &str, rows: &[Row]| {
        check_with(rows, |request| {
            let name = "BUILDKIT_DOCKERFILE_CHECK".to_owned();
            request.build_args.insert(name, value.to_owned());
        });
    };
    with(
        "skip=ConsistentInstructionCasing;error=true",
        &[(
            "skips less",
            "#check=skip=all\nFROM scratch as base\ncopy f .\n",
            &[AS, "error: lint violation found for rules: FromAsCasing"],
        )],
    );
    with(
        "skip=all",
        &[(
            "skips more",
            "#check=error=true\nFROM scratch as base\ncopy f .\n",
            &[],
        )],
    );
    with(
        "oops=1",
        &[(
            "cannot be read",
            "FROM scratch\n",
            &["error: failed to parse check options: invalid check option \"oops\""],
        )],
    );
}

#[test]
fn s113_comments_skip_for_one_instruction() {
    check_all(&[
        (
            "only the next one",
            "FROM scratch\n# check=skip=UndefinedVar // it is set elsewhere\nCOPY $a /\nCOPY $b /\n",
            &["UndefinedVar: Usage of undefined variable '$b' (line 4)"],
        ),
        (
            "all of it",
            "FROM scratch\n# check=skip=all\nMAINTAINER me\nMAINTAINER you\n",
            &[
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 4)",
            ],
        ),
        (
            "two rules among other comments",
            "FROM scratch\n# what follows\n# check=skip=UndefinedVar, LegacyKeyValueFormat\n# is odd\nENV a $b\n",
            &[],
        ),
        (
            "not over a blank line",
            "FROM scratch\n# check=skip=MaintainerDeprecated\n\nMAINTAINER me\n",
            &[
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 4)",
            ],
        ),
        (
            "another rule",
            "FROM scratch\n# check=skip=UndefinedVar\nMAINTAINER me\n",
            &[
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 3)",
            ],
        ),
        (
            "a FROM",
            "ARG A=1\n# check=skip=StageNameCasing,FromAsCasing\nFROM scratch as Base\n",
            &[],
        ),
        (
            "an instruction of several lines",
            "FROM scratch\n# check=skip=UndefinedVar\nLABEL a=b \\\n  c=$d\n",
            &[],
        ),
    ]);
}

#[test]
fn unknown_names_are_told() {
    check_all(&[
        (
            "in the directive",
            "# check=skip=UndefinedVars,FromAsCasing\nFROM scratch\n",
            &[
                "unknown-check: no check is called \"UndefinedVars\" (did you mean UndefinedVar?) (line 1)",
            ],
        ),
        (
            "as experimental",
            "# check=experimental=Nothing\nFROM scratch\n",
            &["unknown-check: no check is called \"Nothing\" (line 1)"],
        ),
        (
            "above an instruction",
            "FROM scratch\n# check=skip=MaintainerDeprecate\nCOPY f /\n",
            &[
                "unknown-check: no check is called \"MaintainerDeprecate\" (did you mean MaintainerDeprecated?) (line 2)",
            ],
        ),
        (
            "they are no reason to fail",
            "# check=skip=UndefinedVars;error=true\nFROM scratch\n",
            &[
                "unknown-check: no check is called \"UndefinedVars\" (did you mean UndefinedVar?) (line 1)",
            ],
        ),
        (
            "case is forgiven",
            "# check=skip=undefinedvar\nFROM scratch\nCOPY $a /\n",
            &[],
        ),
        (
            "plain English",
            "FROM scratch\n# check=this\nCOPY f /\n",
            &[],
        ),
        (
            "an option that is none",
            "# check=skpi=all\nFROM scratch\n",
            &[
                "error: failed to parse check options: invalid check option \"skpi\" (did you mean skip?)",
            ],
        ),
    ]);
}

#[test]
fn s113_warnings_come_before_errors_of_the_parser() {
    check_all(&[(
        "unknown instruction",
        "FROM scratch AS BadStageName\nMAINTAINER me@example.org\nBADCMD\n",
        &[
            "StageNameCasing: Stage name 'BadStageName' should be lowercase (line 1)",
            "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)",
            "error: unknown instruction: BADCMD",
        ],
    )]);
}

#[test]
fn the_request_can_ask_for_experimental_checks() {
    const TEXT: &str = "FROM scratch\nCOPY .env /\nRUN apk add x\n";
    let found = |checks: &[&str]| {
        let mut request = request();
        request.checks = checks.iter().map(|check| (*check).to_owned()).collect();
        let names = linted(TEXT, &request).warnings.into_iter();
        names.map(|warning| warning.rule_name).collect::<Vec<_>>()
    };
    assert!(found(&[]).is_empty());
    assert_eq!(found(&["SecretCopied"]), ["SecretCopied"]);
    assert_eq!(found(&["all"]), ["SecretCopied", "PackageListsLeft"]);
}

#[test]
fn a_plan_only_tells_of_what_it_reaches() {
    use crate::pins::Pins;
    use crate::{Planned, SourceFile, parse_for, plan};
    let source = SourceFile::new(
        "Dockerfile",
        "FROM scratch AS A\nENV a b\nCMD x\nFROM scratch\nCMD y\n",
    );
    let request = request();
    let parsed = parse_for(&source, &request);
    let Ok(Planned::Plan(plan)) = plan(&parsed.ast, &request, &Pins::default()) else {
        panic!("nothing is missing");
    };
    let codes = |found: &[crate::Diagnostic]| found.iter().map(|it| it.code).collect::<Vec<_>>();
    assert_eq!(codes(&parsed.diagnostics), ["StageNameCasing"]);
    assert_eq!(codes(&plan.diagnostics), ["JSONArgsRecommended"]);
    let all = shown(&linted(source.text(), &request));
    assert_eq!(all.len(), 4, "{all:?}");
}
