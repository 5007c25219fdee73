//! What outputs ask for that cannot be given, told before anything is built.

use super::names::{dangling, names, references};
use crate::attesting;
use crate::{BuildError, BuildRequest, ImageOptions, OutputSpec, Place};
use acetate_oci::Platform;

/// Refuses what cannot come to a good end before anything is built.
pub(crate) fn check(request: &BuildRequest) -> Result<(), BuildError> {
    references(&request.tags)?;
    let to_stdout = request.outputs.iter().filter(|output| output.is_stdout());
    if to_stdout.count() > 1 {
        return Err(BuildError::request_with(
            "two outputs go to standard output",
            "give all but one a dest=FILE",
        ));
    }
    let docker = |output: &OutputSpec| {
        matches!(output, OutputSpec::DockerArchive(..) | OutputSpec::Load(..))
    };
    if request.outputs.iter().any(docker) && request.platforms.len() > 1 {
        return Err(BuildError::request_with(
            "type=docker and --load hold one platform",
            "use type=oci, or one --platform",
        ));
    }
    attesting::check(request)?;
    for options in request.outputs.iter().filter_map(OutputSpec::image) {
        names(options, &request.tags)?;
        check_annotations(options, request)?;
    }
    for output in &request.outputs {
        let OutputSpec::Image(options, place) = output else {
            continue;
        };
        let names = names(options, &request.tags)?;
        dangling(place, &names)?;
        check_by_digest(options, place, &request.tags)?;
        if place.push.is_some() && names.is_empty() {
            return Err(BuildError::request_with(
                "pushing needs a name",
                "add -t HOST/NAME:TAG, or name=HOST/NAME:TAG to the output",
            ));
        }
    }
    Ok(())
}

/// A tag that would not be given is an error, too; the flag's own names are checked where it is read.
fn check_by_digest(
    options: &ImageOptions,
    place: &Place,
    tags: &[String],
) -> Result<(), BuildError> {
    let takes_tags = options.names.is_empty() || options.names.iter().any(|name| name == "*");
    if !takes_tags || !place.push.is_some_and(|push| push.by_digest) {
        return Ok(());
    }
    let is_tagged = |name: &&String| name.rsplit('/').next().unwrap_or_default().contains(':');
    match tags.iter().find(is_tagged) {
        None => Ok(()),
        Some(tag) => Err(BuildError::request_with(
            format!("push-by-digest=true gives no tag, and --tag {tag} has one"),
            "leave the tag out",
        )),
    }
}

/// An annotation that nothing would carry is an error: it was meant to be found.
fn check_annotations(options: &ImageOptions, request: &BuildRequest) -> Result<(), BuildError> {
    let host = [Platform::host()];
    let built = match request.platforms.as_slice() {
        [] => &host,
        all => all,
    };
    for annotation in &options.annotations.0 {
        let level = annotation.level;
        let has_index = request.platforms.len() > 1 || attesting::carries(request, options);
        if level.needs_index() && !has_index {
            return Err(BuildError::request_with(
                format!(
                    "the annotation `{}` is for the {}, which an image of one platform does not have",
                    annotation.key,
                    level.name()
                ),
                "use `manifest:` or `manifest-descriptor:`, build several platforms, or add attestations",
            ));
        }
        if let Some(platform) = annotation
            .platform
            .as_ref()
            .filter(|platform| !built.contains(platform))
        {
            return Err(BuildError::request_with(
                format!(
                    "the annotation `{}` is for {platform}, which is not built",
                    annotation.key
                ),
                "name one of --platform",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{kept_here, request};
    use crate::{Annotation, Annotations, Destination, LayoutPlace};
    use acetate_image::{AnnotationLevel, PlatformDirs};

    fn refusal(request: &BuildRequest) -> String {
        check(request).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_end_well_is_refused_before_anything_is_built() {
        let stdout = OutputSpec::Tar(Destination::Stdout, PlatformDirs::IfMany.into());
        let two = request(vec![stdout.clone(), stdout.clone()]);
        assert!(refusal(&two).contains("two outputs"));
        assert!(check(&request(vec![stdout])).is_ok());
        let dest = Destination::Path("x".into());
        let docker = OutputSpec::DockerArchive(ImageOptions::default(), dest);
        let mut docker = request(vec![docker]);
        assert!(check(&docker).is_ok());
        docker.platforms = ["linux/amd64", "linux/arm64"]
            .map(|p| p.parse().unwrap())
            .to_vec();
        assert!(refusal(&docker).contains("one platform"));
        let mut tagged = request(Vec::new());
        tagged.tags = vec!["UPPER CASE".to_owned()];
        assert!(refusal(&tagged).starts_with("--tag: "));
        let named = request(vec![kept_here(&["a:1", "UPPER"], true)]);
        assert!(refusal(&named).starts_with("name=UPPER: "));
    }

    #[test]
    fn a_push_by_digest_takes_no_tag() {
        let push = Some(crate::Push {
            by_digest: true,
            insecure: false,
        });
        let refused = |names: &[&str], tags: &[&str]| {
            let OutputSpec::Image(options, place) = kept_here(names, false) else {
                return false;
            };
            let mut request = request(vec![OutputSpec::Image(options, Place { push, ..place })]);
            request.tags = tags.iter().map(|&tag| tag.to_owned()).collect();
            check(&request).is_err()
        };
        assert!(refused(&[], &["r.example:5000/a", "r.example/a:1"]));
        assert!(refused(&["b", "*"], &["r.example/a:1"]));
        assert!(!refused(&["b"], &["r.example/a:1"]));
        assert!(!refused(&[], &["r.example:5000/a"]));
    }

    #[test]
    fn annotations_that_nothing_would_carry_are_refused() {
        let with = |level, platform: Option<&str>| {
            let annotation = Annotation {
                level,
                platform: platform.map(|text| text.parse().unwrap()),
                key: "k".to_owned(),
                value: "v".to_owned(),
            };
            let options = ImageOptions {
                annotations: Annotations(vec![annotation]),
                ..ImageOptions::default()
            };
            let place = LayoutPlace::Directory("x".into());
            let mut request = request(vec![OutputSpec::Oci(options, place)]);
            request.platforms = vec!["linux/amd64".parse().unwrap()];
            request
        };
        let index = with(AnnotationLevel::Index, None);
        assert!(refusal(&index).contains("an image of one platform does not have"));
        let arm = with(AnnotationLevel::Manifest, Some("linux/arm64"));
        assert!(refusal(&arm).contains("linux/arm64, which is not built"));
        let amd = with(AnnotationLevel::Manifest, Some("linux/amd64"));
        assert!(check(&amd).is_ok());
    }
}
