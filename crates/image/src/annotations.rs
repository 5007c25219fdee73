//! Annotations of images, at the four places that a document has for them.

use std::collections::BTreeMap;

use acetate_oci::Platform;

/// The place of an annotation (image-spec, annotations.md, manifest.md, image-index.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnnotationLevel {
    /// The manifest of each image.
    Manifest,
    /// What points at the manifest, in an index.
    ManifestDescriptor,
    /// The index over the images of several platforms.
    Index,
    /// What points at that index, in a layout.
    IndexDescriptor,
}

impl AnnotationLevel {
    /// All places, with the names that flags have for them.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("manifest", Self::Manifest),
        ("manifest-descriptor", Self::ManifestDescriptor),
        ("index", Self::Index),
        ("index-descriptor", Self::IndexDescriptor),
    ];

    /// True for the two places that only an image of several parts has.
    pub fn needs_index(self) -> bool {
        matches!(self, Self::Index | Self::IndexDescriptor)
    }

    /// Its name in flags.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, level)| *level == self);
        found.map_or("manifest", |(name, _)| name)
    }
}

/// One annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where it is put.
    pub level: AnnotationLevel,
    /// Whose manifest it is put on; none for those of all platforms.
    pub platform: Option<Platform>,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The annotations of one output; of two with one key the more exact holds, else the later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(pub Vec<Annotation>);

impl Annotations {
    /// Those of an index or of what points at it.
    pub fn at(&self, level: AnnotationLevel) -> BTreeMap<String, String> {
        self.collect(|one| one.level == level)
    }

    /// Those of a platform's manifest or of what points at it.
    pub fn of(&self, level: AnnotationLevel, platform: &Platform) -> BTreeMap<String, String> {
        let mut found = self.collect(|one| one.level == level && one.platform.is_none());
        let own = |one: &Annotation| one.platform.as_ref() == Some(platform);
        found.extend(self.collect(|one| one.level == level && own(one)));
        found
    }

    fn collect(&self, wanted: impl Fn(&Annotation) -> bool) -> BTreeMap<String, String> {
        let found = self.0.iter().filter(|one| wanted(one));
        found
            .map(|one| (one.key.clone(), one.value.clone()))
            .collect()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(level: AnnotationLevel, platform: Option<&str>, value: &str) -> Annotation {
        Annotation {
            level,
            platform: platform.map(|text| text.parse().unwrap()),
            key: "k".to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn the_more_exact_holds_and_then_the_later() {
        let list = Annotations(vec![
            annotation(AnnotationLevel::Manifest, Some("linux/arm64"), "arm"),
            annotation(AnnotationLevel::Manifest, None, "old"),
            annotation(AnnotationLevel::Manifest, None, "all"),
            annotation(AnnotationLevel::Index, None, "index"),
        ]);
        let of = |platform: &str| {
            let platform = platform.parse().unwrap();
            list.of(AnnotationLevel::Manifest, &platform)["k"].clone()
        };
        assert_eq!(
            (of("linux/arm64"), of("linux/amd64")),
            ("arm".into(), "all".into())
        );
        assert_eq!(list.at(AnnotationLevel::Index)["k"], "index");
        assert!(list.at(AnnotationLevel::IndexDescriptor).is_empty());
    }
}
