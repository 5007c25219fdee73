//! Reads `--attest`, `--provenance` and `--sbom`.

use crate::environment::Environment;
use crate::flags::{self, BuildFlags};
use acetate_engine::{OutputSpec, ProvenanceMode, RequestedAttestations};
use anyhow::{Result, bail};

/// What they ask for together.
pub(crate) fn parse_all(flags: &BuildFlags) -> Result<RequestedAttestations> {
    let attest: Vec<&str> = flags.attest.iter().map(String::as_str).collect();
    let (provenance, sbom) = (flags.provenance.as_deref(), flags.sbom.as_deref());
    Ok(RequestedAttestations::parse(&attest, provenance, sbom)?)
}

/// How much of the provenance `--metadata-file` is to hold: something when provenance is asked for,
/// or when the variable says how much.
pub(crate) fn metadata(
    flags: &BuildFlags,
    asked: &RequestedAttestations,
    env: &Environment,
) -> Result<Option<ProvenanceMode>> {
    if flags.metadata_file.is_none() {
        return Ok(None);
    }
    match env.metadata_provenance.as_deref() {
        None => Ok(asked.provenance.as_ref().map(|_| ProvenanceMode::Min)),
        Some("min") => Ok(Some(ProvenanceMode::Min)),
        Some("max") => Ok(Some(ProvenanceMode::Max)),
        Some("disabled") => Ok(None),
        Some(text) => match flags::boolean(text) {
            Ok(on) => Ok(on.then_some(ProvenanceMode::Min)),
            Err(_) => bail!(
                "BUILDX_METADATA_PROVENANCE={text}: expected min, max, disabled, true or false"
            ),
        },
    }
}

/// Says that nothing carries what is asked for, where nothing does.
pub(crate) fn note(asked: &RequestedAttestations, outputs: &[OutputSpec]) -> Option<String> {
    let carries = |output: &OutputSpec| match output {
        OutputSpec::Image(_, place) => place.push.is_some(),
        OutputSpec::CacheOnly => false,
        _ => true,
    };
    let is_asked = asked.provenance.is_some() || asked.sbom.is_some();
    (is_asked && !outputs.iter().any(carries)).then(|| {
        "attestations go with --push and with -o; the image that is kept here has none".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Command, Flags};
    use acetate_engine::{PlatformDirs, Stale};
    use clap::Parser;

    fn flags(args: &[&str]) -> Box<BuildFlags> {
        let all = ["acetate", "build", "."].iter().chain(args);
        match Flags::try_parse_from(all).unwrap().command {
            Command::Build(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    fn metadata_of(args: &[&str], variable: &str) -> Option<ProvenanceMode> {
        let flags = flags(args);
        let env = Environment::of(&[("BUILDX_METADATA_PROVENANCE", variable)]);
        metadata(&flags, &parse_all(&flags).unwrap(), &env).unwrap()
    }

    #[test]
    fn metadata_holds_provenance_when_somebody_asks() {
        let file = "--metadata-file=m";
        assert_eq!(metadata_of(&["--provenance=true"], "max"), None);
        assert_eq!(metadata_of(&[file], ""), None);
        let (min, max) = (Some(ProvenanceMode::Min), Some(ProvenanceMode::Max));
        assert_eq!(metadata_of(&[file, "--provenance=mode=max"], ""), min);
        assert_eq!(metadata_of(&[file, "--attest=type=provenance"], "max"), max);
        assert_eq!(metadata_of(&[file, "--provenance=true"], "disabled"), None);
        assert_eq!(metadata_of(&[file, "--provenance=true"], "0"), None);
        assert_eq!(metadata_of(&[file], "min"), min);
        let flags = flags(&[file]);
        let env = Environment::of(&[("BUILDX_METADATA_PROVENANCE", "some")]);
        let error = metadata(&flags, &RequestedAttestations::default(), &env).unwrap_err();
        assert!(error.to_string().contains("=some: expected min, max"));
    }

    #[test]
    fn what_nothing_carries_is_said() {
        let asked = parse_all(&flags(&["--sbom=true"])).unwrap();
        assert!(note(&asked, &[]).is_some());
        assert!(note(&asked, &[OutputSpec::CacheOnly]).is_some());
        let tree = OutputSpec::Local("d".into(), PlatformDirs::IfMany.into(), Stale::Keep);
        assert!(note(&asked, &[tree]).is_none());
        assert!(note(&RequestedAttestations::default(), &[]).is_none());
    }
}
