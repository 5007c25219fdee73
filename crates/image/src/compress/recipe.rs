//! What a layer is to become.

use acetate_oci::Compression;

use crate::assemble::Style;

/// Names the exact output of the gzip compressor: our members, and libdeflate as pinned by the
/// golden digest of the tests. It moves whenever that digest does.
const GZIP_ID: &str = "acetate-gzip-2";
/// The same for zstd, beside the version that the library tells.
const ZSTD_ID: &str = "acetate-zstd-2";
/// The same for estargz, which consists of members of gzip, too.
const STARGZ_ID: &str = "acetate-estargz-1";

/// How a layer is to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe {
    kind: Compression,
    shape: Shape,
    level: i32,
}

/// What the compressed bytes are besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Shape {
    /// Nothing: a compressed tar.
    Stream,
    /// A gzip in which every file can be found by a table at its end.
    Stargz,
}

/// A level outside the range of its compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use compression level {level}: {kind} has levels from {lowest} to {highest}")]
pub struct LevelError {
    kind: &'static str,
    level: i32,
    lowest: i32,
    highest: i32,
}

/// A compression that the wanted media types have no name for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`compression={compression}` cannot be combined with `{option}`: docker's media types have no \
     layers of that kind; use `compression=gzip`, or OCI media types"
)]
pub struct TypesError {
    compression: &'static str,
    option: String,
}

impl Recipe {
    /// A compression at its default level.
    pub const fn new(kind: Compression) -> Self {
        let level = match kind {
            Compression::None => 0,
            Compression::Gzip => 4,
            Compression::Zstd => 3,
        };
        Self {
            kind,
            shape: Shape::Stream,
            level,
        }
    }

    /// Estargz at its default level: a gzip whose files can be fetched one by one.
    ///
    /// The table of files is part of the tar, so the layer gets another `diff_id`.
    pub const fn estargz() -> Self {
        Self {
            shape: Shape::Stargz,
            ..Self::new(Compression::Gzip)
        }
    }

    /// What users call it: `uncompressed`, `gzip`, `zstd` or `estargz`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uncompressed" => Self::new(Compression::None),
            "gzip" => Self::new(Compression::Gzip),
            "zstd" => Self::new(Compression::Zstd),
            "estargz" => Self::estargz(),
            _ => return None,
        })
    }

    /// The same compression at a level: gzip and estargz 0 to 9, zstd 0 (the default) to 22, none 0.
    ///
    /// # Errors
    /// [`LevelError`] when the level does not exist.
    pub fn at_level(self, level: i32) -> Result<Self, LevelError> {
        let highest = match self.kind {
            Compression::None => 0,
            Compression::Gzip => 9,
            Compression::Zstd => 22,
        };
        if !(0..=highest).contains(&level) {
            return Err(LevelError {
                kind: self.name(),
                level,
                lowest: 0,
                highest,
            });
        }
        Ok(Self { level, ..self })
    }

    /// Whether layers of this kind have media types of a style; `option` is what asked for the
    /// style, such as `type=docker` or `oci-mediatypes=false`.
    ///
    /// # Errors
    /// [`TypesError`], which names both options.
    pub fn check_types(self, style: Style, option: &str) -> Result<(), TypesError> {
        let is_docker = style == Style::Docker;
        if is_docker && (self.kind == Compression::Zstd || self.shape == Shape::Stargz) {
            return Err(TypesError {
                compression: self.name(),
                option: option.to_owned(),
            });
        }
        Ok(())
    }

    /// The compression.
    pub fn compression(self) -> Compression {
        self.kind
    }

    /// True when the form holds the tar of the layer byte for byte, so that its `diff_id` stays.
    pub fn keeps_tar(self) -> bool {
        self.shape == Shape::Stream
    }

    /// Names compressor, version and level: equal ids make equal bytes.
    pub fn id(self) -> String {
        match (self.shape, self.kind) {
            (Shape::Stargz, _) => format!("{STARGZ_ID}-{GZIP_ID}-l{}", self.level),
            (Shape::Stream, Compression::None) => "tar".to_owned(),
            (Shape::Stream, Compression::Gzip) => format!("{GZIP_ID}-l{}", self.level),
            (Shape::Stream, Compression::Zstd) => {
                let version = ::zstd::zstd_safe::version_string();
                format!("{ZSTD_ID}-{version}-l{}", self.level)
            }
        }
    }

    pub(super) fn shape(self) -> Shape {
        self.shape
    }

    pub(super) fn level(self) -> i32 {
        self.level
    }

    fn name(self) -> &'static str {
        match (self.shape, self.kind) {
            (Shape::Stargz, _) => "estargz",
            (Shape::Stream, Compression::None) => "uncompressed",
            (Shape::Stream, Compression::Gzip) => "gzip",
            (Shape::Stream, Compression::Zstd) => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["uncompressed", "gzip", "zstd", "estargz"];

    #[test]
    fn levels_have_ranges() {
        for (name, highest) in NAMES.into_iter().zip([0, 9, 22, 9]) {
            let recipe = Recipe::named(name).unwrap();
            assert!(recipe.at_level(0).is_ok() && recipe.at_level(highest).is_ok());
            for level in [-1, highest + 1] {
                let error = recipe.at_level(level).unwrap_err().to_string();
                let words = format!("{name} has levels from 0 to {highest}");
                assert!(error.contains(&words), "{error}");
            }
        }
        assert_eq!(Recipe::named("lz4"), None);
    }

    #[test]
    fn ids_differ() {
        let mut ids: Vec<String> = NAMES.map(|name| Recipe::named(name).unwrap().id()).to_vec();
        ids.push(Recipe::estargz().at_level(5).unwrap().id());
        ids.push(Recipe::named("gzip").unwrap().at_level(5).unwrap().id());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), NAMES.len() + 2);
    }

    #[test]
    fn docker_knows_two_of_four() {
        for (name, docker) in NAMES.into_iter().zip([true, true, false, false]) {
            let recipe = Recipe::named(name).unwrap();
            assert!(recipe.check_types(Style::Oci, "").is_ok());
            let checked = recipe.check_types(Style::Docker, "oci-mediatypes=false");
            assert_eq!(checked.is_ok(), docker, "{name}");
            if let Err(error) = checked {
                let error = error.to_string();
                assert!(
                    error.contains(&format!("`compression={name}`"))
                        && error.contains("`oci-mediatypes=false`"),
                    "{error}"
                );
            }
        }
    }
}
