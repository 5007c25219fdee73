//! Finds images by what users type, renames and removes them.

use super::stored;
use crate::names::{self, Named};
use crate::{BuildError, Engine};
use acetate_oci::{Digest, Reference};
use std::collections::BTreeSet;

/// How many names an error tells of.
const N_TOLD: usize = 5;

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The names, shortened.
    pub names: Vec<String>,
    /// The ids of the images that have no name any more.
    pub ids: Vec<Digest>,
}

impl Engine {
    /// Gives an image one more name, which another image loses when it had it.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn tag_image(&self, source: &str, target: &Reference) -> Result<(), BuildError> {
        if target.digest().is_some() {
            return Err(BuildError::request_with(
                format!(
                    "`{}` has a digest, which is not given but follows",
                    target.familiar()
                ),
                "name a tag: NAME:TAG",
            ));
        }
        let named = self.find_named(source)?;
        names::keep(&self.store, std::slice::from_ref(target), named)
    }

    /// Takes names away: the one that was typed, or by the beginning of an id all that it has.
    ///
    /// Layers are freed by a prune.
    ///
    /// # Errors
    /// When there is no such image, or an id has several names and `force` is not said.
    pub fn remove_image(&self, text: &str, force: Force) -> Result<Removed, BuildError> {
        let all = names::all(&self.store)?;
        let named = find_in(&all, text)?;
        let doomed: Vec<&Named> = match &found_by(&all, text) {
            Some(_) => vec![named],
            None => all.iter().filter(|it| shares(it, named)).collect(),
        };
        if doomed.len() > 1 && force == Force::No {
            let names = told(doomed.iter().copied());
            return Err(BuildError::request_with(
                format!("the image `{text}` has several names: {names}"),
                "name one of them, or say --force to remove all",
            ));
        }
        let mut removed = Removed {
            names: Vec::new(),
            ids: Vec::new(),
        };
        for it in &doomed {
            names::remove(&self.store, &it.name)?;
            removed.names.push(familiar(it));
        }
        let left: BTreeSet<Digest> = names::all(&self.store)?.iter().flat_map(ids).collect();
        removed.ids = ids(named).filter(|id| !left.contains(id)).collect();
        removed.ids.sort_unstable();
        removed.ids.dedup();
        Ok(removed)
    }

    pub(super) fn find_named(&self, text: &str) -> Result<Named, BuildError> {
        let all = names::all(&self.store)?;
        find_in(&all, text).cloned()
    }
}

/// Whether several names may go at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// All of them.
    Yes,
    /// Only one.
    No,
}

/// Finds a name, else the image whose id or digest begins so.
pub(super) fn find_in<'a>(all: &'a [Named], text: &str) -> Result<&'a Named, BuildError> {
    if let Some(found) = found_by(all, text) {
        return Ok(found);
    }
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let begins = |digest: Digest| digest.hex().starts_with(&hex.to_ascii_lowercase());
    let found: Vec<&Named> = all
        .iter()
        .filter(|named| is_hex && (ids(named).any(begins) || digests(named).any(begins)))
        .collect();
    match found.as_slice() {
        [] => Err(missing(all, text)),
        [first, rest @ ..] if rest.iter().all(|it| shares(it, first)) => Ok(first),
        several => Err(BuildError::request_with(
            format!(
                "several images begin with `{text}`: {}",
                told(several.iter().copied())
            ),
            "type more of the id, or a name",
        )),
    }
}

/// The image with this very name, or in this repository with this digest.
fn found_by<'a>(all: &'a [Named], text: &str) -> Option<&'a Named> {
    let name = text.parse::<Reference>().ok()?;
    let full = name.to_string();
    all.iter().find(|named| named.name == full).or_else(|| {
        let digest = name.digest()?;
        all.iter().find(|named| {
            stored::reference(named).is_ok_and(|it| {
                (it.domain(), it.path()) == (name.domain(), name.path())
                    && (name.tag().is_none() || it.tag() == name.tag())
            }) && digests(named).any(|it| it == digest)
        })
    })
}

fn ids(named: &Named) -> impl Iterator<Item = Digest> + use<'_> {
    named.images.iter().map(|image| image.config.digest)
}

fn digests(named: &Named) -> impl Iterator<Item = Digest> + use<'_> {
    let manifests = named.images.iter().map(|image| image.manifest.digest);
    let root = named.root.iter().map(|root| root.digest);
    manifests.chain(root).chain(named.digest)
}

fn shares(a: &Named, b: &Named) -> bool {
    ids(a).any(|id| ids(b).any(|other| other == id))
}

fn familiar(named: &Named) -> String {
    match stored::reference(named) {
        Ok(name) => name.familiar(),
        Err(_) => named.name.clone(),
    }
}

fn told<'a>(all: impl Iterator<Item = &'a Named>) -> String {
    let names: Vec<String> = all.map(|named| format!("`{}`", familiar(named))).collect();
    match names.len().checked_sub(N_TOLD) {
        None | Some(0) => names.join(", "),
        Some(n) => format!("{} and {n} more", names[..N_TOLD].join(", ")),
    }
}

/// There is no such image; those of the same repository are told first.
fn missing(all: &[Named], text: &str) -> BuildError {
    let path = text.parse::<Reference>().ok();
    let near: Vec<&Named> = all
        .iter()
        .filter(|named| {
            let (Some(wanted), Ok(name)) = (&path, stored::reference(named)) else {
                return false;
            };
            name.path().rsplit('/').next() == wanted.path().rsplit('/').next()
        })
        .collect();
    let hint = match (near.as_slice(), all) {
        ([], []) => "there is no image here; build one with -t, or use `acetate image pull`".into(),
        ([], all) => format!(
            "here are {}; others come by `acetate image pull`",
            told(all.iter())
        ),
        (near, _) => format!("here is {}", told(near.iter().copied())),
    };
    BuildError::request_with(format!("no image is named `{text}`"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NamedImage;
    use acetate_oci::{Descriptor, MediaType, Platform};

    fn named(name: &str, content: &str) -> Named {
        let image = NamedImage {
            platform: Platform::new("linux", "amd64"),
            manifest: Descriptor::of(MediaType::OCI_MANIFEST, format!("m{content}").as_bytes()),
            config: Descriptor::of(MediaType::OCI_CONFIG, content.as_bytes()),
            layers: Vec::new(),
        };
        Named {
            name: name.to_owned(),
            images: vec![image],
            root: None,
            digest: None,
            kept: Vec::new(),
        }
    }

    fn found(all: &[Named], text: &str) -> String {
        match find_in(all, text) {
            Ok(named) => named.name.clone(),
            Err(BuildError::Request { message, hint }) => {
                format!("{message}; {}", hint.unwrap_or_default())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn images_are_found_as_users_name_them() {
        let all = [
            named("docker.io/library/app:1", "one"),
            named("docker.io/library/app:latest", "one"),
            named("r.example/team/app:2", "two"),
        ];
        let id = Digest::of(b"one").hex();
        let digest = Digest::of(b"mtwo");
        for (text, expected) in [
            ("app", "docker.io/library/app:latest"),
            ("docker.io/library/app:1", "docker.io/library/app:1"),
            ("r.example/team/app:2", "r.example/team/app:2"),
            (&id, "docker.io/library/app:1"),
            (&id[..8], "docker.io/library/app:1"),
            (&format!("sha256:{id}"), "docker.io/library/app:1"),
            (&digest.hex()[..12], "r.example/team/app:2"),
            (
                &format!("r.example/team/app@{digest}"),
                "r.example/team/app:2",
            ),
        ] {
            assert_eq!(found(&all, text), expected, "{text}");
        }
        assert_eq!(
            found(&all, "app:7"),
            "no image is named `app:7`; here is `app:1`, `app:latest`, `r.example/team/app:2`"
        );
        assert!(found(&all, "other").contains("others come by `acetate image pull`"));
        assert!(found(&[], "app").contains("there is no image here"));
        assert!(found(&all, "zz").starts_with("no image is named `zz`"));
    }

    #[test]
    fn the_beginning_of_two_ids_is_refused() {
        // The ids of these two begin with the same digit.
        let mut texts = (0..40).map(|n| n.to_string());
        let first = texts.next().unwrap();
        let digit = Digest::of(first.as_bytes()).hex()[..1].to_owned();
        let second = texts
            .find(|text| Digest::of(text.as_bytes()).hex().starts_with(&digit))
            .unwrap();
        let all = [
            named("r.example/a:1", &first),
            named("r.example/b:1", &second),
        ];
        assert!(
            found(&all, &digit).contains("several images begin with"),
            "{digit}"
        );
    }
}
