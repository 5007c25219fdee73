//! Attestations in registries, by other scanners, twice the same, and without secrets.
#![expect(clippy::unwrap_used, reason = "what cannot be read fails a test")]

use acetate_tests::{Server, World, files_below, have, needs_root, tool};
use serde_json::Value;
use std::path::Path;

const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=1700000000";

/// A scanner that tells what it sees, as one package each.
const SCANNER: &str = r#"#!/bin/sh
set -e
name() { printf '{"SPDXID":"SPDXRef-x","name":"%s"},' "$1"; }
write() {
  printf '{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3","packages":[' 
  name "$BUILDKIT_SCAN_SELECT"
  for file in $(ls "$1"); do name "file-$file"; done
  echo '{"SPDXID":"SPDXRef-end","name":"end"}]}}'
}
write "$BUILDKIT_SCAN_SOURCE" > "$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
if [ -n "$BUILDKIT_SCAN_SOURCE_EXTRAS" ]; then
  for dir in "$BUILDKIT_SCAN_SOURCE_EXTRAS"/*; do
    write "$dir" > "$BUILDKIT_SCAN_DESTINATION/$(basename "$dir").spdx.json"
  done
fi
if (echo x > "$BUILDKIT_SCAN_SOURCE/written") 2>/dev/null; then exit 9; fi
echo scanned by a test >&2
echo x > "$BUILDKIT_SCAN_DESTINATION/notes.txt"
"#;

/// Builds a scanner image as a layout and gives its name.
fn scanner(text: &str) -> (World, String) {
    let world = World::of("FROM base\nCOPY --chmod=755 scan /scan\nENTRYPOINT [\"/scan\"]\n");
    world.write("scan", text);
    let dest = world.fresh("scanner");
    let output = format!("-otype=oci,tar=false,dest={}", dest.display());
    world.build(&[&output]).ok();
    let name = format!("oci-layout://{}", dest.display());
    (world, name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn names(statement: &Value) -> Vec<String> {
    let packages = statement["predicate"]["packages"].as_array().unwrap();
    let names = packages.iter().filter_map(|one| one["name"].as_str());
    names.map(str::to_owned).collect()
}

#[test]
fn a_scanner_image_sees_the_result_and_writes_the_sbom() {
    if needs_root() {
        return;
    }
    let (_scanner, name) = scanner(SCANNER);
    let world = World::of(
        "
        ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
        FROM base AS build
        ARG BUILDKIT_SBOM_SCAN_STAGE=true
        RUN echo 1 > /made
        FROM scratch
        COPY --from=build /made /result
    ",
    );
    world.write("seen", "");
    world.write(".env", "hidden");
    world.write(".dockerignore", ".env\n");
    let out = world.fresh("out");
    let sbom = format!("--sbom=generator={name},select=chosen");
    let outcome = world.build(&[&sbom, &format!("-o{}", out.display())]).ok();
    assert!(
        outcome.log().contains("scanned by a test"),
        "{}",
        outcome.log()
    );
    let core = json(&out.join("sbom.spdx.json"));
    assert_eq!(names(&core), ["chosen", "file-result", "end"]);
    assert_eq!(core["subject"][0]["name"], "result");
    let stage = json(&out.join("sbom-build.spdx.json"));
    assert!(names(&stage).contains(&"file-made".to_owned()));
    let context = names(&json(&out.join("sbom-context.spdx.json")));
    assert!(
        context.contains(&"file-seen".to_owned()) && !context.contains(&"file-.env".to_owned())
    );
    // What is scanned stays as it is.
    assert!(!out.join("written").exists());
}

#[test]
fn a_scanner_that_fails_or_says_nothing_fails_the_build() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    for (text, words) in [
        ("#!/bin/sh\nexit 7\n", "exit code: 7"),
        ("#!/bin/sh\ntrue\n", "wrote no `.spdx.json`"),
        (
            "#!/bin/sh\nln -s /etc/passwd $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json\n",
            "wrote no `.spdx.json`",
        ),
    ] {
        let (_scanner, name) = scanner(text);
        let out = format!("-o{}", world.fresh("out").display());
        let sbom = format!("--sbom=generator={name}");
        world.build(&[&sbom, &out]).fails(&["scanner", words]);
    }
}

const DOCKERFILE: &str = "
    FROM base
    COPY status /var/lib/dpkg/status
    RUN echo 1 > /made
";

fn sample() -> World {
    let world = World::of(DOCKERFILE);
    world.write(
        "status",
        "Package: acetate-sample\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
    );
    world
}

#[test]
fn equal_inputs_and_an_epoch_give_equal_attestations() {
    let world = sample();
    let built = |root: &Path, how: [&str; 2]| {
        let dest = world.fresh("layout");
        let output = format!("-otype=oci,tar=false,dest={}", dest.display());
        let args = [how[0], how[1], "--sbom=true", &output];
        assert!(
            world
                .command_in(root, &args)
                .output()
                .unwrap()
                .status
                .success()
        );
        std::fs::read(dest.join("index.json")).unwrap()
    };
    let build = |root: &Path| built(root, ["--provenance=true", EPOCH]);
    let (first, cached) = (build(&world.root()), build(&world.root()));
    assert_eq!(first, cached);
    assert_eq!(first, build(&world.fresh("other-root")));
    // Without an epoch, what claims to be reproducible is the same from the cache.
    let how = ["--provenance=reproducible=true", "--label=a=1"];
    let again = || built(&world.root(), how);
    assert_eq!(again(), again());
    let plain = || built(&world.root(), ["--provenance=true", "--label=a=1"]);
    assert_ne!(plain(), plain());
}

#[test]
fn what_is_pushed_is_read_back_by_others() {
    if !(have("skopeo") && have("docker-registry")) {
        return;
    }
    let world = sample();
    let server = Server::registry(world.dir());
    for (n, attributes) in ["", ",oci-artifact=true", ",oci-artifact=false"]
        .iter()
        .enumerate()
    {
        let name = format!("{}/app:{n}", server.address);
        let output = format!("type=registry,name={name}{attributes}");
        let metadata = world.fresh("m.json");
        let file = format!("--metadata-file={}", metadata.display());
        world
            .build(&["--provenance=mode=min", "--sbom=true", "-o", &output, &file])
            .ok();
        let told = json(&metadata);
        let reference = format!("docker://{name}");
        let raw = tool(
            "skopeo",
            &["inspect", "--raw", "--tls-verify=false", &reference],
        );
        let index: Value = serde_json::from_str(&raw).unwrap();
        assert_eq!(
            told["containerimage.descriptor"]["mediaType"],
            index["mediaType"]
        );
        assert!(told["buildx.build.provenance"]["buildDefinition"].is_object());
        let entries = index["manifests"].as_array().unwrap();
        assert_eq!(entries.len(), 2, "{index:#}");
        let annotations = &entries[1]["annotations"];
        assert_eq!(
            annotations["vnd.docker.reference.digest"],
            entries[0]["digest"]
        );
        // The whole of it can be copied, and the image be taken for its platform alone.
        let all = world.fresh("all");
        let to = format!("oci:{}", all.display());
        tool(
            "skopeo",
            &["copy", "--all", "--src-tls-verify=false", &reference, &to],
        );
        let one = world.fresh("one");
        let to = format!("oci:{}", one.display());
        tool(
            "skopeo",
            &["copy", "--src-tls-verify=false", &reference, &to],
        );
        assert!(acetate_tests::Layout::read(&one).n_layers() >= 3);
    }
}

#[test]
fn no_value_of_a_secret_is_told() {
    const SECRET: &str = "hunter3-of-this-test";
    let world = World::of(
        "
        FROM base
        RUN --mount=type=secret,id=env,env=TOKEN --mount=type=secret,id=env test -n \"$TOKEN\"
    ",
    );
    let out = world.fresh("out");
    let layout = world.fresh("layout");
    let args = [
        "--secret=id=env,env=SECRET_OF_TEST",
        "--provenance=mode=max",
        "--sbom=true",
        &format!("-otype=local,dest={}", out.display()),
        &format!("-otype=oci,tar=false,dest={}", layout.display()),
        &format!("--metadata-file={}", world.fresh("meta.json").display()),
    ];
    let mut command = world.command(&args);
    command.env("SECRET_OF_TEST", SECRET);
    command.env("BUILDX_METADATA_PROVENANCE", "max");
    assert!(command.output().unwrap().status.success());
    let text = std::fs::read_to_string(out.join("provenance.json")).unwrap();
    assert!(text.contains("\"secrets\":[{\"id\":\"env\""), "{text}");
    for path in files_below(world.dir()) {
        let bytes = std::fs::read(world.dir().join(&path)).unwrap_or_default();
        let holds = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!holds, "{}", path.display());
    }
}

#[test]
fn attestations_that_tell_of_a_run_make_no_image_irreproducible() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    world
        .verify(&[EPOCH, "--provenance=true", "--sbom=true"])
        .ok();
}
