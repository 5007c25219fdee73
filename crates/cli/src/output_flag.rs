//! Reads `--output`.

use crate::csv;
use acetate_engine::{Destination, LayoutForm, OutputKind, OutputSpec};
use acetate_oci::Compression;
use anyhow::{Result, anyhow, bail};
use std::path::PathBuf;

/// Parses one `--output`: a path, `-`, or comma-separated attributes.
pub(crate) fn parse(text: &str) -> Result<OutputSpec> {
    if text == "-" {
        return Ok(OutputSpec {
            kind: OutputKind::Tar,
            dest: Some(Destination::Stdout),
        });
    }
    if !text.contains('=') {
        let dest = Some(Destination::Path(PathBuf::from(text)));
        return Ok(OutputSpec {
            kind: OutputKind::Local,
            dest,
        });
    }
    let attributes = Attributes::parse(text)?;
    attributes
        .spec()
        .map_err(|error| anyhow!("--output {text}: {error}"))
}

#[derive(Default)]
struct Attributes {
    kind: Option<String>,
    dest: Option<String>,
    tar: Option<bool>,
    compression: Option<Compression>,
    /// Whether files of new layers are clamped to `SOURCE_DATE_EPOCH`, which is always done.
    rewrite: Option<bool>,
}

const KEYS: &str = "type, dest, tar, compression and rewrite-timestamp";

impl Attributes {
    fn parse(text: &str) -> Result<Self> {
        let mut out = Self::default();
        let attributes =
            csv::attributes(text).map_err(|error| anyhow!("--output {text}: {error}"))?;
        for attribute in attributes {
            let key = attribute.key.as_str();
            let Some(value) = attribute.value.as_deref() else {
                bail!("--output {text}: `{key}` has no value");
            };
            match key {
                "type" => out.kind = Some(value.to_owned()),
                "dest" => out.dest = Some(value.to_owned()),
                "tar" => out.tar = Some(boolean(key, value)?),
                "compression" => out.compression = Some(compression(value)?),
                "rewrite-timestamp" => out.rewrite = Some(boolean(key, value)?),
                other => bail!(
                    "--output {text}: attribute `{other}` is not supported yet, only {KEYS} are"
                ),
            }
        }
        Ok(out)
    }

    fn spec(self) -> Result<OutputSpec> {
        let kind = self
            .kind
            .as_deref()
            .ok_or_else(|| anyhow!("type is required"))?;
        let compression = self.compression.unwrap_or(Compression::Gzip);
        let form = if self.tar == Some(false) {
            LayoutForm::Directory
        } else {
            LayoutForm::Archive
        };
        let kind = match kind {
            "oci" => OutputKind::Oci { form, compression },
            "docker" => OutputKind::Docker { compression },
            "tar" => OutputKind::Tar,
            "local" => OutputKind::Local,
            "cacheonly" => OutputKind::CacheOnly,
            "image" | "registry" => {
                bail!("type `{kind}` is not supported yet, use oci and a tool that pushes")
            }
            other => bail!("unknown type `{other}`, expected oci, docker, tar, local or cacheonly"),
        };
        self.check(kind)?;
        let dest = destination(kind, self.dest)?;
        Ok(OutputSpec { kind, dest })
    }

    /// An attribute that would have no effect is an error: it was meant to have one.
    fn check(&self, kind: OutputKind) -> Result<()> {
        let is_oci = matches!(kind, OutputKind::Oci { .. });
        let has_layers = is_oci || matches!(kind, OutputKind::Docker { .. });
        if self.tar.is_some() && !is_oci {
            bail!("`tar` goes with type=oci only");
        }
        if self.compression.is_some() && !has_layers {
            bail!("`compression` goes with type=oci and type=docker only");
        }
        if self.compression == Some(Compression::Zstd) && !is_oci {
            bail!("compression=zstd needs type=oci, docker archives know gzip and uncompressed");
        }
        if self.rewrite.is_some() && !has_layers {
            bail!("`rewrite-timestamp` goes with type=oci and type=docker only");
        }
        if self.rewrite == Some(false) {
            bail!("rewrite-timestamp=false is not supported, files are never newer than the epoch");
        }
        if self.dest.is_some() && kind == OutputKind::CacheOnly {
            bail!("type=cacheonly writes nothing, so `dest` has no place");
        }
        Ok(())
    }
}

fn destination(kind: OutputKind, dest: Option<String>) -> Result<Option<Destination>> {
    let directory = matches!(
        kind,
        OutputKind::Local
            | OutputKind::Oci {
                form: LayoutForm::Directory,
                ..
            }
    );
    match (kind, dest.as_deref()) {
        (OutputKind::CacheOnly, _) => Ok(None),
        (_, Some("")) => bail!("dest is empty"),
        (_, Some("-") | None) if directory => bail!("dest=DIRECTORY is required"),
        (_, Some("-") | None) => Ok(Some(Destination::Stdout)),
        (_, Some(path)) => Ok(Some(Destination::Path(PathBuf::from(path)))),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => bail!("--output: `{key}` is true or false, not `{other}`"),
    }
}

fn compression(value: &str) -> Result<Compression> {
    match value {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "uncompressed" => Ok(Compression::None),
        "estargz" => bail!("--output: compression=estargz is not supported yet"),
        other => {
            bail!("--output: unknown compression `{other}`, expected gzip, zstd or uncompressed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let path = |p: &str| Some(Destination::Path(PathBuf::from(p)));
        let gzip = Compression::Gzip;
        for (text, kind, dest) in [
            ("out", OutputKind::Local, path("out")),
            ("-", OutputKind::Tar, Some(Destination::Stdout)),
            ("type=local,dest=d", OutputKind::Local, path("d")),
            (
                "type=tar,dest=-",
                OutputKind::Tar,
                Some(Destination::Stdout),
            ),
            (
                "type=docker,dest=x.tar",
                OutputKind::Docker { compression: gzip },
                path("x.tar"),
            ),
            ("type=cacheonly", OutputKind::CacheOnly, None),
            (
                "type=docker,rewrite-timestamp=true,dest=x",
                OutputKind::Docker { compression: gzip },
                path("x"),
            ),
            ("type=local,\"dest=a,b\"", OutputKind::Local, path("a,b")),
            (
                "type=oci,dest=d,tar=false,compression=zstd",
                OutputKind::Oci {
                    form: LayoutForm::Directory,
                    compression: Compression::Zstd,
                },
                path("d"),
            ),
        ] {
            assert_eq!(parse(text).unwrap(), OutputSpec { kind, dest }, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_would_have_to_ignore() {
        for (text, words) in [
            ("type=nope", "unknown type `nope`"),
            ("dest=x", "type is required"),
            ("type=local", "dest=DIRECTORY is required"),
            ("type=oci,tar=false", "dest=DIRECTORY is required"),
            ("type=oci,tar=maybe", "true or false"),
            ("type=tar,compression=gzip", "goes with type=oci"),
            ("type=docker,compression=zstd", "needs type=oci"),
            ("type=oci,rewrite-timestamp=false", "is not supported"),
            ("type=tar,rewrite-timestamp=true", "goes with type=oci"),
            ("type=oci,rewrite-timestamp=x", "true or false"),
            ("type=oci,name=x", "`name` is not supported yet"),
            ("type=registry", "not supported yet"),
            ("type=cacheonly,dest=x", "has no place"),
            ("type=oci,dest", "has no value"),
            ("type=oci,\"dest=a", "never closed"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
