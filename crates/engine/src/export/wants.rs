//! What outputs need of the layers of an image.

use super::kept;
use crate::shared::Tars;
use crate::{BuildRequest, OutputSpec, Place};
use acetate_image::Recipe;
use acetate_oci::Compression;

/// True when an image has to be put together at all.
pub(crate) fn wants_image(request: &BuildRequest) -> bool {
    let written = request
        .outputs
        .iter()
        .any(|output| *output != OutputSpec::CacheOnly);
    written || (request.outputs.is_empty() && !request.tags.is_empty())
}

/// True when the blobs of all layers are needed, those of the base too.
pub(crate) fn wants_blobs(request: &BuildRequest) -> bool {
    let wants =
        |output: &OutputSpec| !matches!(output, OutputSpec::CacheOnly | OutputSpec::Image(..));
    request.outputs.iter().any(wants)
}

/// How the outputs want layers to be compressed, and whether anything wants them uncompressed.
pub(crate) fn recipes(request: &BuildRequest) -> (Vec<Recipe>, Tars) {
    let mut recipes: Vec<Recipe> = Vec::new();
    // What has a name can be built upon.
    let mut tars = match kept(request) {
        Ok(names) if names.is_empty() => Tars::Unneeded,
        _ => Tars::Needed,
    };
    for output in &request.outputs {
        match output {
            // What goes to registries is looked for when it is pushed.
            OutputSpec::CacheOnly | OutputSpec::Image(..) => {}
            output => match output.image().map(|options| options.recipe) {
                Some(recipe) if recipe.keeps_tar() && recipe.compression() != Compression::None => {
                    recipes.push(recipe);
                }
                _ => tars = Tars::Needed,
            },
        }
    }
    recipes.sort_unstable();
    recipes.dedup();
    (recipes, tars)
}

/// How layers that are made here are sure to be compressed, if anything wants that: by the first
/// output that does.
pub(crate) fn packing(request: &BuildRequest) -> Option<Recipe> {
    let wanted = request.outputs.iter().filter_map(|output| match output {
        OutputSpec::CacheOnly | OutputSpec::Image(_, Place { push: None, .. }) => None,
        output => output.image().map(|options| options.recipe),
    });
    let mut packed = wanted.filter(|recipe| recipe.compression() != Compression::None);
    packed.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::request;
    use acetate_image::{PlatformDirs, Stale};

    #[test]
    fn layers_are_sealed_and_fetched_only_for_whom_they_are_for() {
        let nothing = request(Vec::new());
        assert!(!wants_image(&nothing) && !wants_blobs(&nothing));
        let mut tagged = request(Vec::new());
        tagged.tags = vec!["x".to_owned()];
        assert!(wants_image(&tagged) && !wants_blobs(&tagged));
        let cache = request(vec![OutputSpec::CacheOnly]);
        assert!(!wants_image(&cache) && !wants_blobs(&cache));
        let local = OutputSpec::Local("d".into(), PlatformDirs::IfMany.into(), Stale::Keep);
        let local = request(vec![local]);
        assert!(wants_image(&local) && wants_blobs(&local));
    }
}
