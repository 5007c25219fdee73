use super::words::{pairs, parse_bool};
use super::{AttributeError, ProvenanceOptions, SbomOptions};

/// What the flags of a build ask for; nothing unless they do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requested {
    /// Provenance, and how.
    pub provenance: Option<ProvenanceOptions>,
    /// An SBOM, and how.
    pub sbom: Option<SbomOptions>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Provenance,
    Sbom,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
        }
    }
}

impl Requested {
    /// Takes the values of all `--attest`, of `--provenance` and of `--sbom`.
    ///
    /// `true` is the attestation with its defaults, `false` is none, and an empty value asks for
    /// nothing, so that `--sbom=$SBOM` works with an empty variable.
    pub fn parse(
        attest: &[&str],
        provenance: Option<&str>,
        sbom: Option<&str>,
    ) -> Result<Self, AttributeError> {
        let mut requested = Self::default();
        let mut seen = Vec::new();
        for value in attest.iter().filter(|value| !value.trim().is_empty()) {
            let (kind, pairs) = typed(value)?;
            requested.take(kind, pairs, &mut seen)?;
        }
        for (kind, value) in [(Kind::Provenance, provenance), (Kind::Sbom, sbom)] {
            let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
                continue;
            };
            let pairs = match parse_bool(value) {
                Some(on) => vec![("disabled".to_owned(), (!on).to_string())],
                None => pairs(&format!("--{}", kind.name()), value)?,
            };
            requested.take(kind, pairs, &mut seen)?;
        }
        Ok(requested)
    }

    fn take(
        &mut self,
        kind: Kind,
        mut pairs: Vec<(String, String)>,
        seen: &mut Vec<Kind>,
    ) -> Result<(), AttributeError> {
        if seen.contains(&kind) {
            return Err(AttributeError::Twice(kind.name()));
        }
        seen.push(kind);
        let on = take_switch(kind, &mut pairs)?;
        match kind {
            Kind::Provenance => {
                let options = ProvenanceOptions::parse(pairs)?;
                self.provenance = on.then_some(options);
            }
            Kind::Sbom => {
                let options = SbomOptions::parse(pairs)?;
                self.sbom = on.then_some(options);
            }
        }
        Ok(())
    }
}

fn typed(value: &str) -> Result<(Kind, Vec<(String, String)>), AttributeError> {
    let mut pairs = pairs("--attest", value)?;
    let at = pairs.iter().position(|(name, _)| name == "type");
    let at = at.ok_or_else(|| AttributeError::NoType(value.to_owned()))?;
    let (_, kind) = pairs.remove(at);
    match kind.as_str() {
        "provenance" => Ok((Kind::Provenance, pairs)),
        "sbom" => Ok((Kind::Sbom, pairs)),
        _ => Err(AttributeError::UnknownType(kind)),
    }
}

/// Takes `disabled`, and `enabled` as old scripts have it; on when neither is there.
fn take_switch(kind: Kind, pairs: &mut Vec<(String, String)>) -> Result<bool, AttributeError> {
    let mut on = true;
    for name in ["enabled", "disabled"] {
        while let Some(at) = pairs.iter().position(|(n, _)| n == name) {
            let (name, value) = pairs.remove(at);
            let Some(flag) = parse_bool(&value) else {
                return Err(AttributeError::BadValue {
                    kind: kind.name(),
                    name,
                    value,
                    allowed: "`true` or `false`",
                });
            };
            on = flag == (name == "enabled");
        }
    }
    Ok(on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::{Mode, Version};

    fn provenance(value: &str) -> Option<ProvenanceOptions> {
        Requested::parse(&[], Some(value), None).unwrap().provenance
    }

    fn error(attest: &[&str], provenance: Option<&str>, sbom: Option<&str>) -> String {
        Requested::parse(attest, provenance, sbom)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn booleans_switch_with_defaults() {
        for on in ["true", "1", "T"] {
            assert_eq!(provenance(on), Some(ProvenanceOptions::default()));
        }
        for off in [
            "false",
            "0",
            "",
            "disabled=true",
            "mode=min,disabled=1",
            "enabled=false",
        ] {
            assert_eq!(provenance(off), None, "{off}");
        }
        let sbom = Requested::parse(&[], None, Some("true")).unwrap().sbom;
        assert_eq!(sbom, Some(SbomOptions::default()));
        assert_eq!(
            Requested::parse(&[], None, None).unwrap(),
            Requested::default()
        );
    }

    #[test]
    fn all_attributes_are_taken() {
        let value = "type=provenance,mode=min,builder-id=https://ci/1,filename=p.json,\
                     reproducible=true,inline-only=true,version=v0.2";
        let requested = Requested::parse(&[value, "type=sbom,generator=img,x=y"], None, None);
        let requested = requested.unwrap();
        let expected = ProvenanceOptions {
            mode: Mode::Min,
            builder_id: "https://ci/1".to_owned(),
            filename: "p.json".to_owned(),
            reproducible: true,
            inline_only: true,
            version: Version::V02,
            ..ProvenanceOptions::default()
        };
        assert_eq!(requested.provenance, Some(expected));
        let sbom = requested.sbom.unwrap();
        assert_eq!(sbom.generator.as_deref(), Some("img"));
        assert_eq!(sbom.parameters["X"], "y");
    }

    #[test]
    fn errors_name_the_attribute_and_what_is_allowed() {
        for (attest, provenance, sbom, wanted) in [
            (
                &[][..],
                Some("mode=mid"),
                None,
                "`mode=mid` of provenance is not allowed; it takes `min` or `max`",
            ),
            (
                &[],
                Some("version=v2"),
                None,
                "`version=v2` of provenance is not allowed; it takes `v1` or `v0.2`",
            ),
            (
                &[],
                Some("reproducible=yes"),
                None,
                "`reproducible=yes` of provenance is not allowed; it takes `true` or `false`",
            ),
            (
                &[],
                Some("filename=../x"),
                None,
                "`filename=../x` of provenance is not allowed; it takes a name without slashes",
            ),
            (
                &[],
                Some("disabled=maybe"),
                None,
                "`disabled=maybe` of provenance is not allowed; it takes `true` or `false`",
            ),
            (
                &[],
                Some("moed=min"),
                None,
                "`moed` is no attribute of provenance; allowed are `mode`, `builder-id`, `filename`, `reproducible`, `inline-only`, `version` and `disabled`",
            ),
            (
                &["mode=min"],
                None,
                None,
                "`--attest mode=min` names no type; add `type=provenance` or `type=sbom`",
            ),
            (
                &["type=vex"],
                None,
                None,
                "`type=vex` is no attestation; allowed are `provenance` and `sbom`",
            ),
            (
                &["type=sbom"],
                None,
                Some("true"),
                "`sbom` is asked for twice; give `--sbom` or `--attest type=sbom` once, with all attributes",
            ),
            (
                &[],
                None,
                Some("generator="),
                "`generator=` of sbom is not allowed; it takes the name of a scanner image",
            ),
            (
                &[],
                None,
                Some("x=y"),
                "`X` of sbom is a parameter for a scanner image; add `generator=IMAGE`, or leave it out",
            ),
        ] {
            assert_eq!(error(attest, provenance, sbom), wanted);
        }
        assert!(
            error(&[], None, Some("generator=i,source=/x"))
                .contains("`source` is no attribute of sbom")
        );
    }
}
