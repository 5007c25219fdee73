use super::*;
use acetate_engine::{
    AnnotationLevel, CarryOptions, Dangling, Force, ImageOptions, LayoutPlace, Place, Push, Recipe,
    Style,
};
use acetate_oci::Compression;

fn path(text: &str) -> Destination {
    Destination::Path(PathBuf::from(text))
}

fn one(text: &str) -> OutputSpec {
    parse(text).unwrap().0
}

fn all(outputs: &[&str], push: bool, annotations: &[&str]) -> Result<Outputs> {
    let own = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.to_owned()).collect() };
    parse_all(&OutputFlags {
        outputs: &own(outputs),
        push,
        load: false,
        annotations: &own(annotations),
    })
}

/// What images have that are written to files.
fn in_files() -> ImageOptions {
    ImageOptions {
        attestations: CarryOptions {
            inline: false,
            artifact: true,
        },
        ..ImageOptions::default()
    }
}

/// The same with Docker's media types, among which there is none for artifacts.
fn docker() -> ImageOptions {
    ImageOptions {
        packaging: Style::Docker.into(),
        attestations: CarryOptions::default(),
        ..ImageOptions::default()
    }
}

#[test]
fn reads_every_form() {
    let if_many = PlatformDirs::IfMany;
    let zstd = ImageOptions {
        recipe: Recipe::new(Compression::Zstd).at_level(9).unwrap(),
        force: Force::Other,
        ..in_files()
    };
    for (text, expected) in [
        (
            "out",
            OutputSpec::Local("out".into(), if_many.into(), Stale::Keep),
        ),
        ("-", OutputSpec::Tar(Destination::Stdout, if_many.into())),
        (
            "type=local,dest=d",
            OutputSpec::Local("d".into(), if_many.into(), Stale::Keep),
        ),
        (
            "type=local,dest=d,mode=delete,platform-split=false",
            OutputSpec::Local("d".into(), PlatformDirs::Never.into(), Stale::Delete),
        ),
        (
            "type=tar,dest=-",
            OutputSpec::Tar(Destination::Stdout, if_many.into()),
        ),
        (
            "type=tar,dest=x,platform-split=1",
            OutputSpec::Tar(path("x"), PlatformDirs::Always.into()),
        ),
        (
            "type=docker,dest=x.tar",
            OutputSpec::DockerArchive(in_files(), path("x.tar")),
        ),
        (
            "type=docker,dest=x,oci-mediatypes=false",
            OutputSpec::DockerArchive(docker(), path("x")),
        ),
        ("type=cacheonly", OutputSpec::CacheOnly),
        (
            "type=docker,rewrite-timestamp=true,dest=x",
            OutputSpec::DockerArchive(in_files(), path("x")),
        ),
        (
            "type=local,\"dest=a,b\"",
            OutputSpec::Local("a,b".into(), if_many.into(), Stale::Keep),
        ),
        (
            "type=oci,dest=d,tar=false,compression=zstd,compression-level=9,force-compression=true",
            OutputSpec::Oci(zstd, LayoutPlace::Directory("d".into())),
        ),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
}

#[test]
fn images_have_names_and_places() {
    let OutputSpec::Image(options, place) =
        one("type=image,\"name=a:1, r.example/b\",push=true,name-canonical=true,unpack=false")
    else {
        panic!("an image");
    };
    assert_eq!(options.names, ["a:1", "r.example/b"]);
    let expected = Place {
        keep: true,
        push: Some(Push::default()),
        dangling: None,
        canonical: true,
    };
    assert_eq!(place, expected);
    let OutputSpec::Image(_, place) =
        one("type=registry,name=r.example/a,push-by-digest=true,registry.insecure=true")
    else {
        panic!("an image");
    };
    let push = Push {
        by_digest: true,
        insecure: true,
    };
    assert_eq!((place.keep, place.push), (false, Some(push)));
    let dangling = |text: &str| match one(text) {
        OutputSpec::Image(_, place) => place.dangling,
        other => panic!("{other:?}"),
    };
    for (attributes, only_nameless) in [
        ("", false),
        (",danging-name-empty-only=false", false),
        (",danging-name-empty-only=true", true),
    ] {
        let prefix = "d".to_owned();
        assert_eq!(
            dangling(&format!("type=image,dangling-name-prefix=d{attributes}")),
            Some(Dangling {
                prefix,
                only_nameless
            }),
            "{attributes}"
        );
    }
    assert_eq!(dangling("type=image,danging-name-empty-only=true"), None);
}

#[test]
fn attestations_go_as_the_attributes_say() {
    let of = |text: &str| match one(text) {
        OutputSpec::Image(options, _) | OutputSpec::Oci(options, _) => options.attestations,
        OutputSpec::Local(_, tree, _) => panic!("{tree:?}"),
        other => panic!("{other:?}"),
    };
    let (inline, artifact) = (true, false);
    assert!(of("type=image,name=x").inline && !of("type=oci,dest=x").inline);
    assert_eq!(
        of("type=oci,dest=x,attestation-inline=true,oci-artifact=false"),
        CarryOptions { inline, artifact }
    );
    assert!(of("type=oci,dest=x").artifact && of("type=registry,name=x").artifact);
    assert!(!of("type=oci,dest=x,oci-mediatypes=false").artifact);
    assert!(!of("type=registry,name=x,attestation-inline=false").inline);
    let OutputSpec::Tar(_, tree) = one("type=tar,dest=x,attestation-prefix=a-") else {
        panic!("a tar");
    };
    assert_eq!(tree.attestation_prefix, "a-");
}

#[test]
fn push_reaches_images_that_are_kept_or_adds_one() {
    let pushed = |outputs: &[&str]| -> Vec<bool> {
        let specs = all(outputs, true, &[]).unwrap().specs;
        let is_pushed = |spec: &OutputSpec| match spec {
            OutputSpec::Image(_, place) => place.push.is_some(),
            _ => false,
        };
        specs.iter().map(is_pushed).collect()
    };
    assert_eq!(pushed(&[]), [true]);
    assert_eq!(pushed(&["type=image,name=x"]), [true]);
    assert_eq!(pushed(&["type=oci,dest=x"]), [false, true]);
}

#[test]
fn an_engine_is_what_a_docker_image_without_a_file_is_for() {
    let plain = ImageOptions {
        recipe: Recipe::new(Compression::None),
        ..in_files()
    };
    assert_eq!(one("type=docker"), OutputSpec::Load(plain.clone(), None));
    assert_eq!(
        one("type=docker,dest=-"),
        OutputSpec::DockerArchive(in_files(), Destination::Stdout)
    );
    assert_eq!(
        one("type=docker,compression=gzip"),
        OutputSpec::Load(in_files(), None)
    );
    let load = |outputs: &[&str]| {
        let outputs: Vec<String> = outputs.iter().map(|&it| it.to_owned()).collect();
        let flags = OutputFlags {
            outputs: &outputs,
            load: true,
            ..OutputFlags::default()
        };
        parse_all(&flags).unwrap().specs
    };
    assert_eq!(load(&[]), [OutputSpec::Load(plain.clone(), None)]);
    assert_eq!(
        load(&["type=docker"]),
        [OutputSpec::Load(plain.clone(), None)]
    );
    let both = [OutputSpec::CacheOnly, OutputSpec::Load(plain.clone(), None)];
    assert_eq!(load(&["type=cacheonly"]), both);
    let other = OutputSpec::Load(plain, Some("other".to_owned()));
    assert_eq!(one("type=docker,context=other"), other);
    assert_eq!(load(&["type=docker,context=other"]), [other]);
    let error = parse("type=docker,context=other,dest=x").unwrap_err();
    assert!(error.to_string().contains("context=other"), "{error}");
}

#[test]
fn annotations_come_as_flags_and_as_attributes() {
    let texts = ["a=1", "index,manifest[linux/arm64]:b=2=3"];
    let outputs = [
        "type=oci,dest=x,annotation.c=4,annotation[linux/arm/v7].f=6,\
         annotation-manifest-descriptor[linux/amd64].d.e=5",
        "type=local,dest=y",
    ];
    let specs = all(&outputs, false, &texts).unwrap().specs;
    let found: Vec<_> = specs[0].image().unwrap().annotations.0.iter().collect();
    let shown: Vec<String> = found
        .iter()
        .map(|one| {
            let platform = one.platform.as_ref().map(ToString::to_string);
            let platform = platform.unwrap_or_default();
            format!("{}[{platform}] {}={}", one.level.name(), one.key, one.value)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "manifest-descriptor[linux/amd64] d.e=5",
            "manifest[] c=4",
            "manifest[linux/arm/v7] f=6",
            "manifest[] a=1",
            "index[] b=2=3",
            "manifest[linux/arm64] b=2=3",
        ]
    );
    assert_eq!(found[4].level, AnnotationLevel::Index);
    for (text, words) in [
        ("a", "expected [TYPE"),
        ("config:a=1", "unknown annotation type `config`"),
        ("index[linux/arm64]:a=1", "one for all platforms"),
        ("manifest[x:a=1", "open bracket"),
        ("manifest[x]:a=1", "the platform"),
        (":a=1", "unknown annotation type ``"),
        ("manifest:=1", "the key is empty"),
    ] {
        let error = all(&["type=oci,dest=x"], false, &[text]).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(words), "{text}: {error}");
    }
    let error = all(&["out"], false, &["a=1"]).unwrap_err().to_string();
    assert!(error.contains("goes with an image"), "{error}");
}

#[test]
fn all_outputs_have_one_time() {
    let with = |a: &str, b: &str| {
        let text = |n: &str| format!("type=oci,dest=x,source-date-epoch={n}");
        all(&[&text(a), &text(b), "out"], false, &[])
    };
    assert_eq!(with("7", "7").unwrap().epoch.as_deref(), Some("7"));
    let error = with("7", "8").unwrap_err().to_string();
    assert!(error.contains("source-date-epoch=7 and source-date-epoch=8"));
}

#[test]
fn refuses_what_it_would_have_to_ignore() {
    for (text, words) in [
        ("type=nope", "unknown type `nope`"),
        ("dest=x", "type is required"),
        ("type=local", "dest=DIRECTORY is required"),
        ("type=local,dest=d,mode=move", "expected copy or delete"),
        (
            "type=local,dest=/,mode=delete",
            "holds the working directory",
        ),
        ("type=oci,tar=false", "dest=DIRECTORY is required"),
        ("type=oci,tar=maybe", "true or false"),
        (
            "type=tar,compression=gzip",
            "type=tar has no attribute `compression`; it has attestation-prefix, dest",
        ),
        (
            "type=docker,dest=x,compression=zstd,oci-mediatypes=false",
            "`compression=zstd` cannot be combined with `oci-mediatypes=false`",
        ),
        (
            "type=oci,annotation.a=1,oci-mediatypes=false",
            "`annotation` needs OCI media types",
        ),
        ("type=oci,compression=xz", "unknown compression `xz`"),
        ("type=oci,compression-level=x", "is a number"),
        (
            "type=oci,compression-level=10",
            "gzip has levels from 0 to 9",
        ),
        (
            "type=oci,compression=uncompressed,compression-level=1",
            "has no meaning",
        ),
        ("type=oci,rewrite-timestamp=false", "is not supported"),
        ("type=tar,rewrite-timestamp=true", "has no attribute"),
        ("type=oci,rewrite-timestamp=x", "true or false"),
        ("type=oci,nam=x", "did you mean `name`?"),
        ("type=image,push-by-digest=true,name=a", "go with push=true"),
        (
            "type=registry,push-by-digest=true,name=a:1",
            "gives no tag, and name=a:1 has one",
        ),
        (
            "type=cacheonly,dest=x",
            "has no attribute `dest`; it has none",
        ),
        ("type=oci,dest", "has no value"),
        ("type=oci,annotation=x", "names no key"),
        ("type=oci,\"dest=a", "never closed"),
    ] {
        let error = format!("{:#}", parse(text).unwrap_err());
        assert!(error.contains(words), "{text}: {error}");
    }
}

/// All types, with what they need and the truths that they know.
const TRUTHS: [(&str, &[&str]); 7] = [
    (
        "type=image,name=a,push=true",
        &[
            "push",
            "push-by-digest",
            "registry.insecure",
            "unpack",
            "store",
            "name-canonical",
            "danging-name-empty-only",
            "oci-mediatypes",
            "oci-artifact",
            "attestation-inline",
            "force-compression",
            "prefer-nondist-layers",
            "rewrite-timestamp",
            "buildinfo",
            "buildinfo-attrs",
        ],
    ),
    (
        "type=registry,name=a",
        &[
            "push",
            "push-by-digest",
            "registry.insecure",
            "store",
            "unpack",
        ],
    ),
    (
        "type=oci,dest=x",
        &[
            "tar",
            "oci-mediatypes",
            "oci-artifact",
            "attestation-inline",
            "force-compression",
            "prefer-nondist-layers",
            "rewrite-timestamp",
        ],
    ),
    (
        "type=docker,dest=x",
        &[
            "oci-mediatypes",
            "force-compression",
            "prefer-nondist-layers",
            "rewrite-timestamp",
        ],
    ),
    ("type=local,dest=x", &["platform-split"]),
    ("type=tar,dest=x", &["platform-split"]),
    ("type=cacheonly", &[]),
];

#[test]
fn every_type_reads_its_truths_and_refuses_what_it_does_not_know() {
    for (kind, truths) in TRUTHS {
        let refusal = |attributes: &str| {
            let error = parse(&format!("{kind},{attributes}")).unwrap_err();
            format!("{error:#}")
        };
        for key in truths {
            for good in ["true", "1", "t", "T", "TRUE", "True"] {
                one(&format!("{kind},{key}={good}"));
            }
            for bad in ["maybe", "yes", ""] {
                let error = refusal(&format!("{key}={bad}"));
                let words = format!("`{key}` is true or false, not `{bad}`");
                assert!(error.contains(&words), "{kind}: {error}");
            }
        }
        let name = kind.split(',').next().unwrap_or_default();
        for unknown in ["bogus", "compatibility-version"] {
            let error = refusal(&format!("{unknown}=20"));
            let words = format!("{name} has no attribute `{unknown}`");
            assert!(error.contains(&words), "{error}");
        }
    }
}

#[test]
fn every_level_that_a_compression_has_is_taken_and_no_other() {
    for (compression, levels) in [("gzip", 0..=9), ("estargz", 0..=9), ("zstd", 0..=22)] {
        let text = |level: i32| {
            format!("type=oci,dest=x,compression={compression},compression-level={level}")
        };
        for level in levels.clone() {
            one(&text(level));
        }
        for level in [levels.start() - 1, levels.end() + 1] {
            let error = format!("{:#}", parse(&text(level)).unwrap_err());
            let words = format!("{compression} has levels from 0 to {}", levels.end());
            assert!(error.contains(&words), "{error}");
        }
    }
}
