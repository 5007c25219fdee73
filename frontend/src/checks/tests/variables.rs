//! Checks of variables within stages.

use super::{check_all, check_with};

#[test]
fn variables_are_set_before_they_are_used() {
    check_all(&[
        (
            "declared",
            "FROM scratch\nARG foo\nCOPY Dockerfile${foo} .\n",
            &[],
        ),
        (
            "set by the image",
            "FROM alpine\nENV x=$BASE_SET\nRUN echo $nothing\n",
            &[],
        ),
        (
            "too late",
            "FROM alpine\nCOPY $foo .\nARG foo=bar\nRUN echo $foo\n",
            &["UndefinedVar: Usage of undefined variable '$foo' (line 2)"],
        ),
        (
            "misspelt",
            "FROM alpine\nARG DIR_ASSETS=assets/\nARG DIR_CONFIG=config/\nCOPY $DIR_ASSET .\n",
            &[
                "UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?) (line 4)",
            ],
        ),
        (
            "like the image's",
            "FROM alpine\nENV PATH=$PAHT:/tmp/bin\n",
            &["UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 2)"],
        ),
        (
            "the line is that of the instruction",
            "FROM alpine\nLABEL a=b \\\n  c=$d\n",
            &["UndefinedVar: Usage of undefined variable '$d' (line 2)"],
        ),
        ("with a default", "FROM alpine\nLABEL a=${b:-c}\n", &[]),
    ]);
}

#[test]
fn without_a_target_all_stages_are_checked() {
    const TEXT: &str =
        "FROM scratch AS first\nCOPY $foo .\n\nFROM scratch AS second\nCOPY $bar .\n";
    check_all(&[(
        "all of them",
        TEXT,
        &[
            "UndefinedVar: Usage of undefined variable '$foo' (line 2)",
            "UndefinedVar: Usage of undefined variable '$bar' (line 5)",
        ],
    )]);
    let only: &[super::Row] = &[(
        "the target alone",
        TEXT,
        &["UndefinedVar: Usage of undefined variable '$foo' (line 2)"],
    )];
    check_with(only, |request| request.target = Some("first".to_owned()));
}

#[test]
fn the_first_working_directory_is_absolute() {
    check_all(&[
        (
            "relative",
            "FROM scratch\nWORKDIR app/\n",
            &[
                "WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base image changes (line 2)",
            ],
        ),
        (
            "only the first one is told",
            "FROM scratch\nWORKDIR a\nWORKDIR b\n",
            &[
                "WorkdirRelativePath: Relative workdir \"a\" can have unexpected results if the base image changes (line 2)",
            ],
        ),
        (
            "below an absolute one",
            "FROM scratch\nWORKDIR /a\nWORKDIR b\n",
            &[],
        ),
        (
            "below the one of another stage",
            "FROM scratch AS a\nWORKDIR /app\nFROM a AS b\nWORKDIR subdir/\n",
            &[],
        ),
    ]);
}

#[test]
fn secrets_are_no_variables() {
    check_all(&[
        (
            "many",
            "FROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz\nARG super_duper_secret_token=foo auth=bar\nENV apikey=bar sunflower=foo\nENV git_key=\n",
            &[
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"SECRET_PASSPHRASE\") (line 2)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"SUPER_Secret\") (line 3)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"password\") (line 4)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"secret\") (line 4)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"super_duper_secret_token\") (line 5)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"auth\") (line 5)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"apikey\") (line 6)",
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"git_key\") (line 7)",
            ],
        ),
        (
            "about secrets, but none",
            "FROM scratch\nENV PUBLIC_KEY= KEY_FILE=/k token_version=1\nARG public_token\n",
            &[],
        ),
        (
            "parts of words",
            "FROM scratch\nENV MONKEY=1 authors=x tokens=2\n",
            &[],
        ),
        (
            "credentials",
            "FROM scratch\nARG AWS_CREDENTIALS\n",
            &[
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"AWS_CREDENTIALS\") (line 2)",
            ],
        ),
    ]);
}
