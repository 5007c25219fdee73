//! Which stages a scan covers besides the result: `BUILDKIT_SBOM_SCAN_STAGE` and
//! `BUILDKIT_SBOM_SCAN_CONTEXT`.

/// The argument that has stages scanned.
pub const SCAN_STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";
/// The argument that has the build context scanned.
pub const SCAN_CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";

/// What a stage says of one of the two arguments, after `--build-arg` has overridden its default.
///
/// An override reaches declarations only: a stage that does not declare the argument, and no global
/// declaration, mean that nothing is scanned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// The value of the declaration before the first FROM.
    pub global: Option<String>,
    /// The value of the last declaration in the stage that has one.
    pub stage: Option<String>,
}

impl Declared {
    /// Whether it says yes for the stage of this name: a boolean, or a list of stages.
    pub fn is_on(&self, stage: &str) -> bool {
        let value = self.stage.as_deref().or(self.global.as_deref());
        value.is_some_and(|value| {
            crate::attributes::parse_bool(value)
                .unwrap_or_else(|| value.split(',').any(|name| name.trim() == stage))
        })
    }
}

/// A stage that is built, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stage {
    /// Its name, or `stage-1`.
    pub name: String,
    /// [`SCAN_STAGE`].
    pub scan_stage: Declared,
    /// [`SCAN_CONTEXT`].
    pub scan_context: Declared,
}

/// What is scanned besides the result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Whether the build context is.
    pub context: bool,
    /// The indices of the stages that are, in the order given.
    pub stages: Vec<usize>,
}

/// Decides what is scanned besides the result.
///
/// `built` are the stages that are built at all: no other stage is ever scanned. The context is the
/// word of the target alone, and the target itself is the result and no extra.
pub fn scanned(built: &[Stage], target: usize) -> Scanned {
    let stages = built
        .iter()
        .enumerate()
        .filter(|(n, stage)| *n != target && stage.scan_stage.is_on(&stage.name))
        .map(|(n, _)| n)
        .collect();
    let context = built
        .get(target)
        .is_some_and(|stage| stage.scan_context.is_on(&stage.name));
    Scanned { context, stages }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, global: Option<&str>, own: Option<&str>) -> Stage {
        let declared = Declared {
            global: global.map(str::to_owned),
            stage: own.map(str::to_owned),
        };
        Stage {
            name: name.to_owned(),
            scan_stage: declared.clone(),
            scan_context: declared,
        }
    }

    #[test]
    fn a_stage_overrides_what_is_declared_for_all() {
        for (global, own, wanted) in [
            (None, None, false),
            (Some("true"), None, true),
            (Some("1"), Some("false"), false),
            (Some("false"), Some("T"), true),
            (Some("x,build"), None, true),
            (Some("x, build"), None, true),
            (Some("builder"), None, false),
            (None, Some(""), false),
        ] {
            let scanned = scanned(&[stage("build", global, own), stage("end", None, None)], 1);
            assert_eq!(
                scanned.stages,
                if wanted { vec![0] } else { vec![] },
                "{global:?} {own:?}"
            );
        }
    }

    #[test]
    fn the_target_is_no_extra_and_alone_decides_on_the_context() {
        let on = |name| stage(name, Some("true"), None);
        let all = scanned(&[on("a"), on("b"), on("c")], 2);
        assert_eq!(
            all,
            Scanned {
                context: true,
                stages: vec![0, 1]
            }
        );
        let target_off = scanned(&[on("a"), stage("c", None, None)], 1);
        assert_eq!(
            target_off,
            Scanned {
                context: false,
                stages: vec![0]
            }
        );
        assert_eq!(scanned(&[], 0), Scanned::default());
    }
}
