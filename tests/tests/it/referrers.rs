//! Attestations as artifacts: found by who asks a registry what speaks about an image, whether it
//! lists that itself or not.

use acetate_tests::{Server, World, have, peer, tool};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

const DOCKERFILE: &str = "
    FROM base
    COPY Dockerfile /one
";
/// What attestations are, as artifacts.
const ATTESTATION: &str = "application/vnd.docker.attestation.manifest.v1+json";

/// The same attestations each time.
const REPRODUCIBLE: &str = "--provenance=reproducible=true,mode=min";

/// The registries that there are: one without the interface, and what was built of the same later.
fn programs() -> Vec<PathBuf> {
    if !have("skopeo") || !have("docker-registry") {
        return Vec::new();
    }
    let later = peer("registry");
    [PathBuf::from("docker-registry")]
        .into_iter()
        .chain(later)
        .collect()
}

/// Asks a registry as any client does; none for a 404.
fn get(address: &str, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n\
         Accept: application/vnd.oci.image.index.v1+json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status");
    match status {
        "200" => Some(serde_json::from_str(body).expect("JSON")),
        "404" => None,
        other => panic!("{path}: {other}"),
    }
}

/// The kinds and digests of what speaks about a manifest, found as the specification says: by the
/// interface, else by the tag.
fn referrers(address: &str, subject: &str) -> Vec<(String, String)> {
    let tag = subject.replace(':', "-");
    let list = get(address, &format!("/v2/app/referrers/{subject}"))
        .or_else(|| get(address, &format!("/v2/app/manifests/{tag}")));
    let entries = list.map(|list| list["manifests"].as_array().cloned().unwrap_or_default());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = entries.unwrap_or_default();
    let told = entries.iter();
    told.map(|entry| (text(&entry["artifactType"]), text(&entry["digest"])))
        .collect()
}

/// The digests of the image and of its attestations in the index that a name leads to.
fn parts(name: &str) -> (String, String) {
    let name = format!("docker://{name}");
    let text = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &name]);
    let index: Value = serde_json::from_str(&text).expect("JSON");
    let digest = |n: usize| {
        let digest = index["manifests"][n]["digest"].as_str();
        digest.expect("two manifests").to_owned()
    };
    (digest(0), digest(1))
}

#[test]
fn attestations_are_found_as_referrers_in_every_registry() {
    for (n, program) in programs().iter().enumerate() {
        let world = World::of(DOCKERFILE);
        let server = Server::registry_by(program, world.dir());
        let name = format!("{}/app:1", server.address);
        let output = format!("-otype=registry,name={name},oci-artifact=true");
        let build = || world.build(&[REPRODUCIBLE, &output]).ok();
        build();
        let (image, said) = parts(&name);
        let expected = [(ATTESTATION.to_owned(), said)];
        assert_eq!(referrers(&server.address, &image), expected, "{n}");
        // The same once more adds nothing, another image has a list of its own.
        build();
        assert_eq!(referrers(&server.address, &image), expected, "{n}");
        // A mirror has the list, too.
        let dir = world.fresh("mirror");
        std::fs::create_dir(&dir).expect("a directory");
        let mirror = Server::registry(&dir);
        let copied = ["image", "mirror", &name, &mirror.address];
        world.acetate(&copied).ok();
        assert_eq!(referrers(&mirror.address, &image), expected, "{n}");
        let again = world.acetate(&copied).ok().stdout;
        assert!(again.ends_with(": is there\n"), "{again}");
    }
}

#[test]
fn what_others_copied_without_the_list_is_listed_by_the_next_who_comes() {
    if programs().is_empty() {
        return;
    }
    let world = World::of(DOCKERFILE);
    let server = Server::registry(world.dir());
    let name = format!("{}/app:1", server.address);
    let output = format!("-otype=registry,name={name},oci-artifact=true");
    world.build(&[REPRODUCIBLE, &output]).ok();
    let (image, said) = parts(&name);
    let expected = [(ATTESTATION.to_owned(), said)];
    for mirrored in [true, false] {
        let dir = world.fresh("other");
        std::fs::create_dir(&dir).expect("a directory");
        let other = Server::registry(&dir);
        let copy = format!("{}/app:1", other.address);
        let (from, to) = (format!("docker://{name}"), format!("docker://{copy}"));
        let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let args = [&["copy", "--all"], &insecure[..], &[&from, &to]].concat();
        tool("skopeo", &args);
        assert_eq!(referrers(&other.address, &image), []);
        let mirror = ["image", "mirror", &name, &other.address];
        if mirrored {
            let told = world.acetate(&mirror).ok().stdout;
            assert!(told.contains("1 referrers"), "{told}");
            let told = world.acetate(&mirror).ok().stdout;
            assert!(told.ends_with(": is there\n"), "{told}");
        } else {
            world.acetate(&["image", "cp", &name, &copy]).ok();
        }
        assert_eq!(referrers(&other.address, &image), expected, "{mirrored}");
    }
}
