use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What an image runs on, in Go's names: `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The CPU architecture.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The version of the operating system.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Makes a platform of two parts.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
        }
        .normalized()
    }

    /// The platform of this program.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH)
    }

    /// The same platform in its usual spelling: `x86_64` is `amd64`, `arm64/v8` is `arm64`,
    /// `arm` is `arm/v7`.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.os = self.os.to_ascii_lowercase();
        if self.os == "macos" {
            "darwin".clone_into(&mut self.os);
        }
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self
            .variant
            .take()
            .filter(|v| !v.is_empty())
            .map(|v| v.to_ascii_lowercase());
        let (architecture, variant) = usual(&architecture, variant.as_deref());
        Self {
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            ..self
        }
    }

    /// True when an image for `self` runs on `wanted`; a lower variant of `arm` does as well.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let (have, want) = (self.clone().normalized(), wanted.clone().normalized());
        if have.os != want.os || have.architecture != want.architecture {
            return false;
        }
        if have.os_version.is_some()
            && want.os_version.is_some()
            && have.os_version != want.os_version
        {
            return false;
        }
        have.variant == want.variant
            || (want.architecture == "arm" && variant_number(&have) <= variant_number(&want))
            || (want.architecture != "arm" && have.variant.is_none())
    }
}

fn variant_number(platform: &Platform) -> u32 {
    let variant = platform.variant.as_deref().unwrap_or("v7");
    variant.trim_start_matches('v').parse().unwrap_or(u32::MAX)
}

fn usual<'a>(architecture: &'a str, variant: Option<&'a str>) -> (&'a str, Option<&'a str>) {
    match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("i386" | "i686" | "x86" | "386", _) => ("386", None),
        ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64", None),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("arm", Some("8")) => ("arm", Some("v8")),
        ("powerpc64", variant) => ("ppc64", variant),
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PlatformParseError(text.to_owned());
        let (os, rest) = text.split_once('/').ok_or_else(error)?;
        let (architecture, variant) = match rest.split_once('/') {
            Some((architecture, variant)) => (architecture, Some(variant)),
            None => (rest, None),
        };
        let legal = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        let (os, os_version) = match os.split_once('(') {
            Some((os, version)) => (os, Some(version.strip_suffix(')').ok_or_else(error)?)),
            None => (os, None),
        };
        if !legal(os) || !legal(architecture) || !variant.is_none_or(legal) {
            return Err(error());
        }
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: os_version.map(str::to_owned),
            os_features: Vec::new(),
            variant: variant.map(str::to_owned),
        }
        .normalized())
    }
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no platform, expected `os/architecture[/variant]` such as `linux/arm64`")]
pub struct PlatformParseError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn spells_platforms_the_usual_way() {
        for (given, usual) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("macos/aarch64", "darwin/arm64"),
        ] {
            assert_eq!(platform(given).to_string(), usual);
        }
        for bad in ["", "linux", "/amd64", "linux/", "linux/a b", "linux/arm/"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_older_arm_runs_on_a_newer_one() {
        assert!(platform("linux/arm/v6").satisfies(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v7").satisfies(&platform("linux/arm/v6")));
        assert!(platform("linux/amd64").satisfies(&platform("linux/amd64/v3")));
        assert!(!platform("linux/amd64/v3").satisfies(&platform("linux/amd64")));
    }
}
