//! What stages say of scans for an SBOM.

use super::scope::{Declared, Scope};

/// The argument that has stages scanned.
const STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";
/// The argument that has the build context scanned.
const CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";

/// What the two arguments about scans are in a stage; what that means is not decided here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanArgs {
    /// `BUILDKIT_SBOM_SCAN_STAGE`.
    pub stage: ScanArg,
    /// `BUILDKIT_SBOM_SCAN_CONTEXT`.
    pub context: ScanArg,
}

/// The values of one argument, with build arguments where it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanArg {
    /// Of its declaration in front of the first FROM.
    pub global: Option<String>,
    /// Of its last declaration in the stage; a stage that stands on this one has it not.
    pub own: Option<String>,
}

impl ScanArgs {
    pub(super) fn of(globals: &Scope, declared: &Declared) -> Self {
        let arg = |name: &str| ScanArg {
            global: globals.value(name).map(str::to_owned),
            own: declared
                .iter()
                .find(|(own, _)| *own == name)
                .and_then(|(_, value)| value.map(str::to_owned)),
        };
        Self {
            stage: arg(STAGE),
            context: arg(CONTEXT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture;
    use super::*;

    fn args(text: &str) -> Vec<(String, ScanArg)> {
        let build = fixture::build(text);
        let stages = build.lowered.stages.into_iter();
        stages.map(|stage| (stage.name, stage.scan.stage)).collect()
    }

    fn arg(global: Option<&str>, own: Option<&str>) -> ScanArg {
        ScanArg {
            global: global.map(str::to_owned),
            own: own.map(str::to_owned),
        }
    }

    #[test]
    fn a_stage_has_what_it_declares_and_what_is_declared_for_all() {
        let text = "ARG BUILDKIT_SBOM_SCAN_STAGE=b\nFROM scratch AS a\n\
                    ARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY f /\nFROM a AS b\nCOPY g /\n\
                    FROM scratch\nCOPY --from=b / /\n";
        let found = args(text);
        let named = |n: usize| (found[n].0.as_str(), found[n].1.clone());
        assert_eq!(named(0), ("a", arg(Some("b"), Some("true"))));
        assert_eq!(named(1), ("b", arg(Some("b"), None)));
        assert_eq!(named(2), ("stage-2", arg(Some("b"), None)));
    }

    #[test]
    fn a_build_argument_counts_where_the_argument_is_declared() {
        let given = "\n//- args arg:BUILDKIT_SBOM_SCAN_STAGE=true\n";
        let undeclared = format!("//- Dockerfile\nFROM scratch\nCOPY f /{given}");
        assert_eq!(args(&undeclared)[0].1, arg(None, None));
        let declared = format!(
            "//- Dockerfile\nFROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=false\nCOPY f /{given}"
        );
        assert_eq!(args(&declared)[0].1, arg(None, Some("true")));
    }
}
