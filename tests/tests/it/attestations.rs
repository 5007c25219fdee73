//! `--provenance`, `--sbom` and `--attest`: what travels with images, and lies beside files.
#![expect(clippy::unwrap_used, reason = "what cannot be read fails a test")]

use acetate_oci::{Digest, Index};
use acetate_tests::{Outcome, Repository, Web, World, files_below, have};
use serde_json::Value;
use std::path::Path;

const STATUS: &str = "
    //- status
    Package: acetate-sample
    Status: install ok installed
    Architecture: amd64
    Version: 1.2-3
    Maintainer: Somebody <s@example.org>
";

const DOCKERFILE: &str = "
    FROM base AS build
    ARG COLOUR=red
    RUN --mount=type=secret,id=token,required=false mkdir -p /o && echo $COLOUR > /o/colour
    FROM base
    COPY status /var/lib/dpkg/status
    COPY --from=build /o /
";

fn world() -> World {
    let world = World::of(DOCKERFILE);
    world.add(STATUS);
    world
}

/// An attestation manifest of an index, with what its statements say.
pub(crate) struct Attested {
    pub(crate) manifest: Value,
    pub(crate) about: String,
    pub(crate) statements: Vec<Value>,
}

impl Attested {
    fn of_type(&self, kind: &str) -> &Value {
        let mut found = self.statements.iter();
        found
            .find(|statement| statement["predicateType"] == kind)
            .unwrap_or_else(|| panic!("no {kind} in {:?}", self.manifest))
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    let bytes = std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    assert_eq!(Digest::of(&bytes).to_string(), digest);
    bytes
}

/// The index that a layout's one name leads to.
fn inner_index(layout: &Path) -> Index {
    let outer: Index =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(outer.manifests.len(), 1);
    serde_json::from_slice(&blob(layout, &outer.manifests[0].digest.to_string())).unwrap()
}

fn attested(layout: &Path) -> Vec<Attested> {
    let index = inner_index(layout);
    let is_attestation = |annotations: &std::collections::BTreeMap<String, String>| {
        annotations
            .get("vnd.docker.reference.type")
            .map(String::as_str)
            == Some("attestation-manifest")
    };
    let entries = index.manifests.iter();
    entries
        .filter(|entry| is_attestation(&entry.annotations))
        .map(|entry| {
            assert_eq!(
                entry.platform.as_ref().unwrap().to_string(),
                "unknown/unknown"
            );
            let manifest = json(&blob(layout, &entry.digest.to_string()));
            blob(layout, manifest["config"]["digest"].as_str().unwrap());
            let layers = manifest["layers"].as_array().unwrap().clone();
            let statements = layers.iter().map(|layer| {
                assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
                let statement = json(&blob(layout, layer["digest"].as_str().unwrap()));
                let kind = &layer["annotations"]["in-toto.io/predicate-type"];
                assert_eq!(*kind, statement["predicateType"]);
                statement
            });
            Attested {
                about: entry.annotations["vnd.docker.reference.digest"].clone(),
                statements: statements.collect(),
                manifest,
            }
        })
        .collect()
}

/// Builds into a layout directory.
fn layout(world: &World, root: &Path, attributes: &str, args: &[&str]) -> std::path::PathBuf {
    let dest = world.fresh("layout");
    let output = format!("-otype=oci,tar=false,dest={}{attributes}", dest.display());
    let mut command = world.command_in(root, &[&[output.as_str()], args].concat());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    dest
}

const SPDX: &str = "https://spdx.dev/Document";
const SLSA: &str = "https://slsa.dev/provenance/v1";

fn packages(statement: &Value) -> Vec<&str> {
    let packages = statement["predicate"]["packages"].as_array().unwrap();
    packages
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect()
}

#[test]
fn an_image_with_attestations_is_an_index_of_both() {
    let world = world();
    let args = [
        "--provenance=true",
        "--sbom=true",
        "-tapp:1",
        "--build-arg=COLOUR=blue",
    ];
    let dir = layout(&world, &world.root(), "", &args);
    let index = inner_index(&dir);
    assert_eq!(index.manifests.len(), 2);
    let all = attested(&dir);
    let [one] = all.as_slice() else { panic!("one") };
    assert_eq!(one.about, index.manifests[0].digest.to_string());
    assert_eq!(one.manifest["subject"]["digest"], one.about.as_str());
    let sbom = one.of_type(SPDX);
    assert!(packages(sbom).contains(&"acetate-sample"), "{sbom}");
    let provenance = one.of_type(SLSA);
    let subject = &provenance["subject"][0];
    assert!(
        subject["name"]
            .as_str()
            .unwrap()
            .starts_with("pkg:docker/app@1?platform=")
    );
    assert_eq!(
        format!("sha256:{}", subject["digest"]["sha256"].as_str().unwrap()),
        one.about
    );
    let definition = &provenance["predicate"]["buildDefinition"];
    let request = &definition["externalParameters"]["request"];
    assert_eq!(request["args"]["build-arg:COLOUR"], "blue");
    assert_eq!(request["secrets"][0]["id"], "token");
    let base = &definition["resolvedDependencies"][0];
    assert!(
        base["uri"].as_str().unwrap().starts_with("pkg:oci/base"),
        "{base}"
    );
    let metadata = &provenance["predicate"]["runDetails"]["metadata"];
    let source = &metadata["buildkit_metadata"]["source"];
    assert_eq!(source["infos"][0]["filename"], "Dockerfile");
    let layers = metadata["buildkit_metadata"]["layers"].as_object().unwrap();
    let manifest = json(&blob(&dir, &one.about));
    let last = manifest["layers"].as_array().unwrap().last().unwrap();
    let tops: Vec<&Value> = layers
        .values()
        .map(|chains| chains[0].as_array().unwrap().last().unwrap())
        .collect();
    assert!(
        tops.iter().any(|top| top["digest"] == last["digest"]),
        "{layers:?}"
    );
    assert!(metadata["startedOn"].is_string() && metadata["invocationId"].is_string());
}

#[test]
fn an_artifact_names_its_subject_and_min_tells_less() {
    let world = world();
    let attributes = ",oci-artifact=true";
    let args = [
        "--attest=type=provenance,mode=min,version=v0.2",
        "--build-arg=COLOUR=blue",
    ];
    let annotation = "--annotation=index:org.example=1";
    let dir = layout(
        &world,
        &world.root(),
        attributes,
        &[&args[..], &[annotation]].concat(),
    );
    let index = inner_index(&dir);
    assert_eq!(index.annotations["org.example"], "1");
    let all = attested(&dir);
    let [one] = all.as_slice() else { panic!("one") };
    assert_eq!(one.manifest["subject"]["digest"], one.about.as_str());
    assert_eq!(
        one.manifest["artifactType"],
        "application/vnd.docker.attestation.manifest.v1+json"
    );
    let text = one.statements[0].to_string();
    assert_eq!(one.statements[0]["subject"][0]["name"], "_");
    assert_eq!(
        one.statements[0]["predicateType"],
        "https://slsa.dev/provenance/v0.2"
    );
    assert!(!text.contains("blue") && !text.contains("COLOUR"), "{text}");
    // Without any, the same build is one manifest, and such an annotation has no place.
    let plain = world.image(&["--build-arg=COLOUR=blue"]);
    assert_eq!(plain.digest().to_string(), one.about);
    let dest = format!("-otype=oci,dest={}", world.fresh("x").display());
    world.build(&[&dest, annotation]).fails(&["does not have"]);
}

#[test]
fn inline_only_stays_out_of_files_unless_the_output_says_so() {
    let world = world();
    let arg = "--provenance=mode=min,inline-only=true";
    let outer = |attributes: &str| {
        let dir = layout(&world, &world.root(), attributes, &[arg]);
        json(&std::fs::read(dir.join("index.json")).unwrap())["manifests"][0]["mediaType"].clone()
    };
    assert_eq!(outer(""), "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(
        outer(",attestation-inline=true"),
        "application/vnd.oci.image.index.v1+json"
    );
    let dest = world.fresh("x.tar");
    world
        .build(&[arg, &format!("-otype=docker,dest={}", dest.display())])
        .ok();
    let out = world.fresh("out");
    world.build(&[arg, &format!("-o{}", out.display())]).ok();
    assert!(!out.join("provenance.json").exists());
}

#[test]
fn files_have_their_attestations_beside_them() {
    let world = world();
    let out = world.fresh("out");
    let args = ["--provenance=filename=p.json", "--sbom=true"];
    let output = format!("-otype=local,dest={},attestation-prefix=a-", out.display());
    world.build(&[&args[..], &[&output]].concat()).ok();
    let provenance = json(&std::fs::read(out.join("a-p.json")).unwrap());
    let sbom = json(&std::fs::read(out.join("a-sbom.spdx.json")).unwrap());
    assert!(packages(&sbom).contains(&"acetate-sample"));
    let subjects = provenance["subject"].as_array().unwrap();
    let colour = subjects.iter().find(|one| one["name"] == "colour").unwrap();
    assert_eq!(colour["digest"]["sha256"], Digest::of(b"red\n").hex());
    // A file of the image is not covered.
    let taken = format!(
        "-otype=tar,dest={},attestation-prefix=",
        world.fresh("t").display()
    );
    world
        .build(&["--provenance=filename=colour", &taken])
        .fails(&["`colour`", "attestation-prefix"]);
}

#[test]
fn several_platforms_each_have_theirs() {
    let world =
        World::of("FROM scratch\nARG TARGETARCH\nCOPY status /$TARGETARCH/var/lib/dpkg/status\n");
    world.add(STATUS);
    let args = [
        "--platform=linux/amd64,linux/arm64",
        "--provenance=true",
        "--sbom=1",
    ];
    let dir = layout(&world, &world.root(), "", &args);
    let index = inner_index(&dir);
    assert_eq!(index.manifests.len(), 4);
    let about: Vec<String> = attested(&dir).into_iter().map(|one| one.about).collect();
    assert_eq!(about[0], index.manifests[0].digest.to_string());
    assert_eq!(about[1], index.manifests[1].digest.to_string());
    let out = world.fresh("out");
    let metadata = world.fresh("m.json");
    let file = format!("--metadata-file={}", metadata.display());
    let output = format!("-o{}", out.display());
    world.build(&[&args[..], &[&output, &file]].concat()).ok();
    for platform in ["linux_amd64", "linux_arm64"] {
        for name in ["provenance.json", "sbom.spdx.json"] {
            assert!(out.join(platform).join(name).exists(), "{platform}/{name}");
        }
    }
    let told = json(&std::fs::read(&metadata).unwrap());
    let of = |platform: &str| told[format!("buildx.build.provenance/{platform}")].to_string();
    assert!(
        of("linux/arm64").contains("\"platform\":\"linux/arm64\""),
        "{told:#}"
    );
    assert!(!of("linux/amd64").contains("llbDefinition"));
    let merged = world.fresh("merged");
    let output = format!(
        "-otype=local,dest={},platform-split=false",
        merged.display()
    );
    world.build(&[&args[..], &[&output]].concat()).ok();
    assert!(merged.join("sbom.linux_arm64.spdx.json").exists());
    assert!(merged.join("provenance.linux_amd64.json").exists());
}

#[test]
fn stages_and_the_context_are_scanned_when_the_dockerfile_says_so() {
    let world = World::of(
        "
        ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
        FROM base AS tools
        ARG BUILDKIT_SBOM_SCAN_STAGE=true
        COPY status /var/lib/dpkg/status
        RUN echo made > /made
        FROM base AS unused
        ARG BUILDKIT_SBOM_SCAN_STAGE=true
        RUN echo unused > /unused
        FROM scratch
        COPY --from=tools /made /
    ",
    );
    world.add(STATUS);
    world.add("//- hidden/Cargo.lock\n//- Cargo.lock\n[[package]]\nname = \"crate-of-test\"\nversion = \"1.0.0\"\n//- .dockerignore\nhidden\n");
    world.write(
        "hidden/Cargo.lock",
        "[[package]]\nname = \"crate-of-nobody\"\nversion = \"1.0.0\"\n",
    );
    let dir = layout(&world, &world.root(), "", &["--sbom=true"]);
    let all = attested(&dir);
    let names: Vec<&str> = all[0]
        .statements
        .iter()
        .map(|one| one["predicate"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["sbom", "sbom-tools", "sbom-context"]);
    let found = |n: usize| packages(&all[0].statements[n]);
    assert!(!found(0).contains(&"acetate-sample"));
    assert!(found(1).contains(&"acetate-sample"));
    assert!(found(2).contains(&"crate-of-test"), "{:?}", found(2));
    assert!(!found(2).contains(&"crate-of-nobody"));
    // Everything is cached now, and the stage is scanned nevertheless.
    let out = world.fresh("out");
    let output = format!("-o{}", out.display());
    let outcome = world.build(&["--sbom=true", &output]).ok();
    assert_eq!(outcome.ran(), [""; 0]);
    let names: Vec<String> = files_below(&out)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    for name in [
        "sbom-context.spdx.json",
        "sbom-tools.spdx.json",
        "sbom.spdx.json",
    ] {
        assert!(names.iter().any(|one| one == name), "{names:?}");
    }
}

#[test]
fn what_came_from_outside_is_named_with_its_digest_and_without_its_password() {
    if !have("git") {
        return;
    }
    let world =
        World::of("FROM scratch\nARG U\nARG R\nADD $U /f\nADD $R /r/\nCOPY --from=more f /g\n");
    world.add("//- more/f\nx\n");
    let web = Web::serve(&world.dir().join("web"));
    let url = web.put("f.txt", b"hello\n");
    let repository = Repository::new(&world.dir().join("repository"));
    repository.write("a", "one\n");
    let commit = repository.commit("first");
    let remote = web.publish(&repository, "x");
    let more = world.context().join("more");
    let args = [
        "--provenance=true",
        &format!(
            "--build-arg=U={}",
            url.replace("http://", "http://user:hunter4@")
        ),
        &format!("--build-arg=R={remote}"),
        &format!("--build-context=more={}", more.display()),
    ];
    let dir = layout(&world, &world.root(), "", &args);
    let all = attested(&dir);
    let definition = &all[0].of_type(SLSA)["predicate"]["buildDefinition"];
    let inputs = definition["resolvedDependencies"].as_array().unwrap();
    let of =
        |algorithm: &str, value: &str| inputs.iter().any(|one| one["digest"][algorithm] == value);
    assert!(of("sha1", commit.trim()), "{inputs:?}");
    assert!(of("sha256", &Digest::of(b"hello\n").hex()), "{inputs:?}");
    let request = &definition["externalParameters"]["request"];
    assert_eq!(request["args"]["context:more"], "local:more");
    let locals = request["locals"].as_array().unwrap();
    assert_eq!(locals.len(), 2, "{locals:?}");
    let text = all[0].of_type(SLSA).to_string();
    assert!(!text.contains("hunter4"), "{text}");
    assert!(
        !text.contains(&world.marker()),
        "a path of this machine is told"
    );
    // The same from a context that is a repository.
    let dockerfile = "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nFROM scratch\nCOPY a /\n";
    repository.write("Dockerfile", dockerfile);
    let commit = repository.commit("second");
    web.publish(&repository, "x");
    let out = world.fresh("out");
    let output = format!("-o{}", out.display());
    let args = ["--provenance=mode=min", "--sbom=1", &output];
    let outcome = Outcome::of(world.command_on(&remote, &args)).ok();
    let log = outcome.log();
    assert!(log.contains("the build context is not scanned"), "{log}");
    let told = json(&std::fs::read(out.join("provenance.json")).unwrap());
    let definition = &told["predicate"]["buildDefinition"];
    let source = &definition["externalParameters"]["configSource"];
    assert_eq!(source["digest"]["sha1"], commit.trim(), "{definition:#}");
    assert!(source["uri"].as_str().unwrap().contains("/x"));
}
