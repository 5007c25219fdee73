//! Copies images from one place to another, byte for byte.

use super::push::{send, tags};
use super::save::{loadable, narrow};
use super::stored::reference;
use super::whole::Pack;
use crate::{BuildError, Destination, Engine, EventSink};
use acetate_image::{
    BlobOrigin, ImageSource, LayoutSource, OciOutput, Puller, SavedImage, WholeImage,
};
use acetate_oci::{Descriptor, Digest, Reference};
use acetate_registry::{Name, Progress, Registries, Repository};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// A place that an image is copied from or to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A registry.
    Registry(Reference),
    /// `oci-layout://DIR[:TAG]`: a directory, or to read from also an archive.
    Layout(LayoutSource),
    /// `oci-archive:FILE`.
    OciArchive(PathBuf),
    /// `docker-archive:FILE`.
    DockerArchive(PathBuf),
    /// `local://NAME`: an image of this machine.
    Local(Reference),
}

/// What a copy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// The digest of what was copied.
    pub digest: Digest,
    /// Blobs in all.
    pub n_blobs: usize,
    /// Blobs that were sent to a registry.
    pub n_sent: usize,
    /// Blobs that the registry took from another repository of its own.
    pub n_mounted: usize,
    /// What speaks about the image and was copied, too.
    pub n_referrers: usize,
}

/// What became of one image of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirrored {
    /// It was there, with everything that speaks about it.
    Present,
    /// It was copied.
    Copied(CopyReport),
}

/// One image of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorReport {
    /// Where it is now.
    pub target: Reference,
    /// What became of it.
    pub outcome: Mirrored,
}

impl FromStr for End {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Self, BuildError> {
        let bad = |error: String| {
            BuildError::request_with(
                error,
                "name HOST/NAME:TAG, oci-layout://DIR[:TAG], oci-archive:FILE, \
                 docker-archive:FILE or local://NAME",
            )
        };
        let file = |path: &str| {
            if path.is_empty() {
                Err(bad(format!("`{text}` names no file")))
            } else {
                Ok(PathBuf::from(path))
            }
        };
        if let Some(path) = text.strip_prefix("docker-archive:") {
            return file(path).map(Self::DockerArchive);
        }
        if let Some(path) = text.strip_prefix("oci-archive:") {
            return file(path).map(Self::OciArchive);
        }
        if let Some(name) = text.strip_prefix("local://") {
            let name = name.parse::<Reference>();
            return name
                .map(Self::Local)
                .map_err(|error| bad(error.to_string()));
        }
        match text.parse::<ImageSource>() {
            Ok(ImageSource::Registry(name)) => Ok(Self::Registry(name)),
            Ok(ImageSource::Layout(place)) => Ok(Self::Layout(place)),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) => write!(f, "{name}"),
            Self::Layout(place) => write!(f, "{place}"),
            Self::OciArchive(path) => write!(f, "oci-archive:{}", path.display()),
            Self::DockerArchive(path) => write!(f, "docker-archive:{}", path.display()),
            Self::Local(name) => write!(f, "local://{name}"),
        }
    }
}

/// An image that is open for reading.
struct Opened {
    whole: WholeImage,
    origin: BlobOrigin,
    puller: Arc<Puller>,
    /// The name that it has there.
    name: Option<Reference>,
}

impl Engine {
    /// Copies all platforms of an image; `insecure` is for the registries of both ends.
    ///
    /// From a registry or a layout to a registry nothing is written to this machine's disk.
    ///
    /// # Errors
    /// The first fault at either end; a name is given last.
    pub async fn copy_image(
        &self,
        source: &End,
        target: &End,
        insecure: bool,
        sink: &Arc<dyn EventSink>,
    ) -> Result<CopyReport, BuildError> {
        let step = self.step(sink, &format!("copying {source}"));
        let progress = step.transfer("copying");
        let copied = self.copy(source, target, insecure, &progress).await;
        step.end(&copied);
        let (report, kept) = copied?;
        if let Some(kept) = kept {
            // The same blobs once more, on their way to a file.
            let step = self.step(sink, &format!("writing {target}"));
            let put = self.put(target, kept, &step.transfer("writing")).await;
            step.end(&put);
            put?;
        }
        Ok(report)
    }

    /// Copies to a registry, or to this machine; what is to go on from there is given back.
    async fn copy(
        &self,
        source: &End,
        target: &End,
        insecure: bool,
        progress: &Arc<dyn Progress>,
    ) -> Result<(CopyReport, Option<Opened>), BuildError> {
        let opened = self.open_end(source, insecure, progress).await?;
        if let End::Registry(name) = target {
            let repository = Repository::from(name);
            let registries = self.registries_for(&repository, insecure).await;
            let report = to_registry(&registries, name, &opened, progress).await?;
            return Ok((report, None));
        }
        self.fetch(&opened, progress).await?;
        Ok((stored_report(&opened.whole), Some(opened)))
    }

    /// Copies an image with all platforms and everything that speaks about it below `prefix`, a
    /// registry with or without the beginning of a path. What is there is left alone.
    ///
    /// # Errors
    /// The first fault.
    pub async fn mirror_image(
        &self,
        source: &Reference,
        prefix: &str,
        insecure: bool,
        sink: &Arc<dyn EventSink>,
    ) -> Result<MirrorReport, BuildError> {
        let step = self.step(sink, &format!("copying {source}"));
        let progress = step.transfer("copying");
        let mirrored = self.mirror(source, prefix, insecure, &progress).await;
        step.end(&mirrored);
        mirrored
    }

    async fn mirror(
        &self,
        source: &Reference,
        prefix: &str,
        insecure: bool,
        progress: &Arc<dyn Progress>,
    ) -> Result<MirrorReport, BuildError> {
        let target = below(prefix, source)?;
        let end = End::Registry(source.clone());
        let opened = self.open_end(&end, insecure, progress).await?;
        let from = Repository::from(source);
        let there = Repository::from(&target);
        let registries = self.registries_for(&there, insecure).await;
        let has = registries.describe(&there, &Name::from(&target)).await?;
        let is_there = has.is_some_and(|it| it.digest == opened.whole.root.digest);
        let mut report = if is_there {
            stored_report(&opened.whole)
        } else {
            to_registry(&registries, &target, &opened, progress).await?
        };
        let asked = self.registries_for(&from, insecure).await;
        for (entry, _) in &opened.whole.documents {
            let speaking = asked.referrers(&from, entry.digest, None).await?;
            if speaking.is_empty() {
                continue;
            }
            let listed = registries.referrers(&there, entry.digest, None).await?;
            for speaking in speaking {
                let is_listed = listed.iter().any(|known| known.digest == speaking.digest);
                let copied = refer(
                    (&registries, &there),
                    &opened,
                    &speaking,
                    (is_listed, progress),
                )
                .await?;
                report.n_referrers += usize::from(copied);
            }
        }
        let outcome = if is_there && report.n_referrers == 0 {
            Mirrored::Present
        } else {
            Mirrored::Copied(report)
        };
        Ok(MirrorReport { target, outcome })
    }

    async fn open_end(
        &self,
        source: &End,
        insecure: bool,
        progress: &Arc<dyn Progress>,
    ) -> Result<Opened, BuildError> {
        let puller = match source {
            End::Registry(name) => self.puller_for(name, insecure).await,
            _ => Arc::clone(&self.puller),
        };
        let (whole, origin, name) = match source {
            End::Registry(name) => {
                let source = ImageSource::Registry(name.clone());
                let (whole, origin) = puller.whole(&source).await?;
                (whole, origin, Some(name.clone()))
            }
            End::Layout(place) => {
                let source = ImageSource::Layout(place.clone());
                let (whole, origin) = puller.whole(&source).await?;
                (whole, origin, None)
            }
            End::OciArchive(path) => {
                let (whole, origin) = puller.whole(&ImageSource::layout(path)).await?;
                (whole, origin, None)
            }
            End::DockerArchive(path) => {
                let images = self.docker_images(path.clone(), progress).await?;
                let image = images.as_deref().and_then(|images| images.first());
                let image = image.ok_or_else(|| {
                    BuildError::request(format!("`{}` is no docker archive", path.display()))
                })?;
                let kept = self.whole_of_archived(&image.image)?;
                let (whole, origin) = puller.whole_stored(&kept.root).await?;
                let name = image.names.first().and_then(|name| name.parse().ok());
                (whole, origin, name)
            }
            End::Local(name) => {
                let named = self.find_named(&name.to_string())?;
                let (whole, origin) = self.whole_of(&named, Pack::Never).await?;
                (whole, origin, Some(reference(&named)?))
            }
        };
        Ok(Opened {
            whole,
            origin,
            puller,
            name,
        })
    }

    /// Brings everything to this machine.
    async fn fetch(&self, opened: &Opened, progress: &Arc<dyn Progress>) -> Result<(), BuildError> {
        let Opened { whole, origin, .. } = opened;
        opened.puller.fetch_whole(whole, origin, progress).await?;
        for (_, bytes) in &opened.whole.documents {
            self.store.blobs().put(bytes)?;
        }
        Ok(())
    }

    async fn put(
        &self,
        target: &End,
        opened: Opened,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), BuildError> {
        let Opened { whole, name, .. } = opened;
        match target {
            End::Registry(_) => Ok(()),
            End::Local(name) => {
                let images = self.images_in(&whole)?.images;
                self.keep_whole(std::slice::from_ref(name), &whole, images, None)
            }
            End::Layout(place) => {
                let names = name.into_iter().filter(|_| place.tag.is_none());
                let saved = SavedImage {
                    names: names.collect(),
                    tag: place.tag.clone(),
                    whole,
                    loadable: None,
                };
                let output = OciOutput::Directory(place.path.clone());
                self.write(vec![saved], output, progress).await
            }
            End::OciArchive(path) => {
                let saved = SavedImage {
                    names: name.into_iter().collect(),
                    tag: None,
                    whole,
                    loadable: None,
                };
                self.write(vec![saved], archive(path), progress).await
            }
            End::DockerArchive(path) => {
                let whole = self.one_platform(whole).await?;
                let saved = SavedImage {
                    names: name.into_iter().collect(),
                    tag: None,
                    loadable: Some(loadable(&whole)?),
                    whole,
                };
                self.write(vec![saved], archive(path), progress).await
            }
        }
    }

    /// The image for this machine, where there are several.
    async fn one_platform(&self, whole: WholeImage) -> Result<WholeImage, BuildError> {
        let images = self.images_in(&whole)?.images;
        let mut named = crate::names::Named {
            name: whole.root.digest.to_string(),
            images,
            root: Some(whole.root),
            digest: None,
            kept: Vec::new(),
        };
        narrow(&mut named, None)?;
        Ok(self.whole_of(&named, Pack::Never).await?.0)
    }
}

fn archive(path: &std::path::Path) -> OciOutput {
    OciOutput::Archive(crate::export::destination(&Destination::Path(
        path.to_owned(),
    )))
}

async fn to_registry(
    registries: &Registries,
    name: &Reference,
    opened: &Opened,
    progress: &Arc<dyn Progress>,
) -> Result<CopyReport, BuildError> {
    let whole = &opened.whole;
    if name
        .digest()
        .is_some_and(|digest| digest != whole.root.digest)
    {
        return Err(BuildError::request_with(
            format!(
                "the image has the digest `{}`, not that of the target",
                whole.root.digest
            ),
            "name a tag, or nothing behind the name",
        ));
    }
    let repository = Repository::from(name);
    let to = (registries, &repository);
    let sent = send(to, whole, &opened.origin, tags(name), progress).await?;
    Ok(CopyReport {
        n_sent: sent.n_sent,
        n_mounted: sent.n_mounted,
        ..stored_report(whole)
    })
}

/// Copies one manifest that speaks about the image; false when it is there and listed. Who copied
/// it before need not have known that the registry lists none itself.
async fn refer(
    (registries, there): (&Registries, &Repository),
    opened: &Opened,
    entry: &Descriptor,
    (is_listed, progress): (bool, &Arc<dyn Progress>),
) -> Result<bool, BuildError> {
    let name = Name::Digest(entry.digest);
    if is_listed && registries.describe(there, &name).await?.is_some() {
        return Ok(false);
    }
    let whole = opened.puller.whole_beside(&opened.origin, entry).await?;
    let to = (registries, there);
    send(to, &whole, &opened.origin, Vec::new(), progress).await?;
    Ok(true)
}

fn stored_report(whole: &WholeImage) -> CopyReport {
    CopyReport {
        digest: whole.root.digest,
        n_blobs: whole.blobs.len(),
        n_sent: 0,
        n_mounted: 0,
        n_referrers: 0,
    }
}

/// The name of an image below a registry, with its whole path.
fn below(prefix: &str, source: &Reference) -> Result<Reference, BuildError> {
    let prefix = prefix.trim_end_matches('/');
    let mut text = format!("{prefix}/{}", source.path());
    if let Some(tag) = source.tag() {
        text += &format!(":{tag}");
    } else if let Some(digest) = source.digest() {
        text += &format!("@{digest}");
    }
    let parsed = text.parse::<Reference>();
    let parsed = parsed.map_err(|error| BuildError::request(error.to_string()))?;
    let host = prefix.split('/').next().unwrap_or_default();
    if parsed.domain() != host {
        return Err(BuildError::request_with(
            format!("`{prefix}` is no registry"),
            "name one with its port or domain: HOST[:PORT][/PATH]",
        ));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        for (text, expected) in [
            ("app", "Registry"),
            ("docker-image://r.example/app:1", "Registry"),
            ("oci-layout://dir:1", "Layout"),
            ("oci-archive:x.tar", "OciArchive"),
            ("docker-archive:x.tar", "DockerArchive"),
            ("local://app", "Local"),
        ] {
            let end: End = text.parse().unwrap();
            assert!(format!("{end:?}").starts_with(expected), "{text}: {end:?}");
        }
        for text in [
            "docker-archive:",
            "oci-archive:",
            "local://",
            "s3://x",
            "UPPER",
        ] {
            assert!(text.parse::<End>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mirror_keeps_the_whole_path() {
        let digest = Digest::of(b"x");
        for (prefix, source, expected) in [
            (
                "localhost:5000",
                "debian:12",
                "localhost:5000/library/debian:12",
            ),
            ("r.example/hub/", "a/b", "r.example/hub/a/b:latest"),
            (
                "r.example",
                &format!("q.example/a@{digest}"),
                &format!("r.example/a@{digest}"),
            ),
        ] {
            let source = source.parse().unwrap();
            assert_eq!(below(prefix, &source).unwrap().to_string(), expected);
        }
        let source = "a".parse().unwrap();
        assert!(
            below("mirror", &source)
                .unwrap_err()
                .to_string()
                .contains("no registry")
        );
    }
}
