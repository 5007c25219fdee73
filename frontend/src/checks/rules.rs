//! The table of all checks.

/// A check: what it is called and how it is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which `# check=` lines and messages use.
    pub name: &'static str,
    /// What it says, in one sentence; for the rules that other builders have it is their sentence,
    /// as programs that read their output compare it.
    pub description: &'static str,
    /// Its page, relative to the top of the project.
    pub page: &'static str,
    /// Whether it runs only when `experimental=` or the command line names it.
    pub experimental: bool,
    /// Whether it is one that only this builder has.
    pub own: bool,
}

/// All checks, in the order in which their pages are listed.
pub const RULES: [Rule; 26] = [
    shared(
        "StageNameCasing",
        "Stage names should be lowercase",
        "docs/checks/stage-name-casing.md",
    ),
    shared(
        "FromAsCasing",
        "The 'as' keyword should match the case of the 'from' keyword",
        "docs/checks/from-as-casing.md",
    ),
    shared(
        "NoEmptyContinuation",
        "Empty continuation lines will become errors in a future release",
        "docs/checks/no-empty-continuation.md",
    ),
    shared(
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
        "docs/checks/consistent-instruction-casing.md",
    ),
    shared(
        "DuplicateStageName",
        "Stage names should be unique",
        "docs/checks/duplicate-stage-name.md",
    ),
    shared(
        "ReservedStageName",
        "Reserved words should not be used as stage names",
        "docs/checks/reserved-stage-name.md",
    ),
    shared(
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
        "docs/checks/json-args-recommended.md",
    ),
    shared(
        "MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        "docs/checks/maintainer-deprecated.md",
    ),
    shared(
        "UndefinedArgInFrom",
        "FROM command must use declared ARGs",
        "docs/checks/undefined-arg-in-from.md",
    ),
    shared(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
        "docs/checks/workdir-relative-path.md",
    ),
    shared(
        "UndefinedVar",
        "Variables should be defined before their use",
        "docs/checks/undefined-var.md",
    ),
    shared(
        "MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
        "docs/checks/multiple-instructions-disallowed.md",
    ),
    shared(
        "LegacyKeyValueFormat",
        "Legacy key/value format with whitespace separator should not be used",
        "docs/checks/legacy-key-value-format.md",
    ),
    shared(
        "InvalidBaseImagePlatform",
        "Base image platform does not match expected target platform",
        "docs/checks/invalid-base-image-platform.md",
    ),
    shared(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        "docs/checks/redundant-target-platform.md",
    ),
    shared(
        "SecretsUsedInArgOrEnv",
        "Sensitive data should not be used in the ARG or ENV commands",
        "docs/checks/secrets-used-in-arg-or-env.md",
    ),
    shared(
        "InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
        "docs/checks/invalid-default-arg-in-from.md",
    ),
    shared(
        "FromPlatformFlagConstDisallowed",
        "FROM --platform flag should not use a constant value",
        "docs/checks/from-platform-flag-const-disallowed.md",
    ),
    shared(
        "CopyIgnoredFile",
        "Attempting to Copy file that is excluded by .dockerignore",
        "docs/checks/copy-ignored-file.md",
    ),
    Rule {
        experimental: true,
        ..shared(
            "InvalidDefinitionDescription",
            "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
            "docs/checks/invalid-definition-description.md",
        )
    },
    shared(
        "ExposeProtoCasing",
        "Protocol in EXPOSE instruction should be lowercase",
        "docs/checks/expose-proto-casing.md",
    ),
    shared(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
        "docs/checks/expose-invalid-format.md",
    ),
    own(
        "CopySourcesBeforeInstall",
        "Dependencies should be installed before the whole context is copied",
        "docs/checks/copy-sources-before-install.md",
    ),
    own(
        "DeletedInLaterLayer",
        "Files should be removed in the step that adds them",
        "docs/checks/deleted-in-later-layer.md",
    ),
    own(
        "PackageListsLeft",
        "The lists and caches of a package manager should not stay in a layer",
        "docs/checks/package-lists-left.md",
    ),
    own(
        "SecretCopied",
        "Files that hold secrets should not be copied into an image",
        "docs/checks/secret-copied.md",
    ),
];

/// Finds a check; case counts for nothing.
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES
        .iter()
        .find(|rule| rule.name.eq_ignore_ascii_case(name))
}

const fn shared(name: &'static str, description: &'static str, page: &'static str) -> Rule {
    Rule {
        name,
        description,
        page,
        experimental: false,
        own: false,
    }
}

const fn own(name: &'static str, description: &'static str, page: &'static str) -> Rule {
    Rule {
        experimental: true,
        own: true,
        ..shared(name, description, page)
    }
}
