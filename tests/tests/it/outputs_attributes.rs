//! Attributes of `--output`: names, levels, stale files, and what is refused together.

use acetate_tests::{Layout, World, needs_root};

const DOCKERFILE: &str = "
    FROM base
    RUN seq 1 20000 > /numbers
";

#[test]
fn an_image_is_kept_under_the_names_of_its_output() {
    let world = World::of(DOCKERFILE);
    world
        .build(&["-o", "type=image,\"name=own:1,own:2\"", "-tflag"])
        .ok();
    for name in ["own:1", "own:2"] {
        world.acetate(&["run", name, "true"]).ok();
    }
    world.acetate(&["run", "flag", "true"]).fails(&["flag"]);
    let output = "type=image,name=can,name-canonical=true";
    world.build(&["-o", output]).ok();
    let dangling = "type=image,dangling-name-prefix=dang";
    let path = world.fresh("metadata.json");
    let file = format!("--metadata-file={}", path.display());
    world.build(&["-o", dangling, &file]).ok();
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let digest = told["containerimage.digest"].as_str().unwrap();
    for name in ["can", "dang"] {
        let name = format!("{name}@{digest}");
        world.acetate(&["run", &name, "true"]).ok();
    }
}

#[test]
fn levels_and_force_change_blobs_of_layers_only() {
    let world = World::of(DOCKERFILE);
    let image = |attributes: &str| {
        let dest = world.fresh("layout");
        let output = format!("type=oci,tar=false,dest={},{attributes}", dest.display());
        world.build(&["-o", &output]).ok();
        Layout::read(&dest)
    };
    let (fast, best) = (image("compression-level=0"), image("compression-level=9"));
    let size = |image: &Layout| image.manifest.layers.last().unwrap().size;
    assert!(size(&fast) > size(&best));
    assert_eq!(fast.manifest.config, best.manifest.config);
    let forced = image("compression=zstd,force-compression=true");
    for layer in &forced.manifest.layers {
        assert!(layer.media_type.as_str().ends_with("+zstd"), "{layer:?}");
    }
    let docker = image("oci-mediatypes=false");
    let media_type = docker.manifest.media_type.as_ref().unwrap().as_str();
    assert!(media_type.starts_with("application/vnd.docker."));
}

#[test]
fn a_directory_is_made_equal_to_the_image_when_asked() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM scratch\nCOPY Dockerfile /d/\n");
    let out = world.fresh("out");
    std::fs::create_dir_all(out.join("d/old")).unwrap();
    std::fs::write(out.join("stale"), "").unwrap();
    let output = format!("type=local,dest={},mode=delete", out.display());
    world.build(&["-o", &output]).ok();
    let found = acetate_tests::files_below(&out);
    assert_eq!(found, [std::path::PathBuf::from("d/Dockerfile")]);
    assert!(!out.join("d/old").exists());
}

#[test]
fn what_contradicts_itself_is_refused_by_both_names() {
    let world = World::of(DOCKERFILE);
    for (args, words) in [
        (
            vec!["-o", "type=oci,compression=zstd,oci-mediatypes=false"],
            "`compression=zstd` cannot be combined with `oci-mediatypes=false`",
        ),
        (
            vec![
                "-o",
                "type=oci,source-date-epoch=1",
                "-o",
                "type=tar,source-date-epoch=2",
            ],
            "source-date-epoch=1 and source-date-epoch=2",
        ),
        (
            vec!["-o", "type=oci,dest=x", "--annotation=index:a=b"],
            "an image of one platform does not have",
        ),
        (vec!["-o", "out", "--annotation=a=b"], "goes with an image"),
        (
            vec!["-o", "type=registry,push-by-digest=true", "-tr.example/a:1"],
            "push-by-digest=true gives no tag, and --tag r.example/a:1 has one",
        ),
    ] {
        world.build(&args).fails(&[words]);
    }
}

#[test]
fn a_name_with_the_digest_is_kept_beside_the_others_or_for_want_of_them() {
    let world = World::of(DOCKERFILE);
    let names = |attributes: &str| {
        let path = world.fresh("metadata.json");
        let file = format!("--metadata-file={}", path.display());
        let output = format!("type=image,dangling-name-prefix=dang{attributes}");
        world.build(&["-o", &output, &file]).ok();
        let told: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let digest = told["containerimage.digest"].as_str().unwrap().to_owned();
        let named = told["image.name"].as_str().unwrap_or_default().to_owned();
        (digest, named)
    };
    let (digest, named) = names(",name=both");
    let library = "docker.io/library";
    let dangling = format!("{library}/dang@{digest}");
    assert_eq!(named, format!("{library}/both:latest,{dangling}"));
    for name in ["both", &format!("dang@{digest}")] {
        world.acetate(&["run", name, "true"]).ok();
    }
    let only = ",danging-name-empty-only=true";
    let (_, named) = names(&format!(",name=both{only}"));
    assert_eq!(named, format!("{library}/both:latest"));
    assert_eq!(names(only).1, dangling);
    world
        .build(&["-o", "type=image,name=a,dangling-name-prefix=UPPER"])
        .fails(&["dangling-name-prefix=UPPER"]);
}

#[test]
fn an_image_is_kept_where_the_output_says_so() {
    let world = World::of(DOCKERFILE);
    world.build(&["-o", "type=image,name=kept"]).ok();
    world
        .build(&["-o", "type=image,name=gone,store=false"])
        .ok();
    world.acetate(&["run", "kept", "true"]).ok();
    world.acetate(&["run", "gone", "true"]).fails(&["gone"]);
    // Neither is one that is only cached.
    world.build(&["-o", "type=cacheonly"]).ok();
    let listed = world.acetate(&["image", "ls"]).ok();
    assert!(listed.stdout.contains("kept") && !listed.stdout.contains("gone"));
}
