use acetate_oci::{MediaType, Platform};

use super::*;

fn source(tag: Option<&str>, digest: Option<Digest>) -> LayoutSource {
    LayoutSource {
        path: "/l".into(),
        tag: tag.map(str::to_owned),
        digest,
    }
}

fn named(content: &str, tag: Option<&str>, full: Option<&str>) -> Descriptor {
    let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, content.as_bytes());
    for (key, value) in [(REF_NAME, tag), (IMAGE_NAME, full)] {
        if let Some(value) = value {
            entry.annotations.insert(key.to_owned(), value.to_owned());
        }
    }
    entry
}

fn find(entries: &[Descriptor], tag: Option<&str>) -> Result<Descriptor, String> {
    let index = Index::oci(entries.to_vec());
    match entry(&index, &source(tag, None)) {
        Ok(Entry::One(entry)) => Ok(*entry),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn tags_and_names_find_entries() {
    let a = named("a", Some("v1"), Some("docker.io/library/a:v1"));
    let b = named("b", Some("v2"), None);
    let entries = [a.clone(), b.clone()];
    assert_eq!(find(&entries, Some("v1")).unwrap(), a);
    assert_eq!(find(&entries, Some("docker.io/library/a:v1")).unwrap(), a);
    assert_eq!(find(&entries, Some("v2")).unwrap(), b);
    assert_eq!(
        find(&entries, Some("v3")).unwrap_err(),
        "find the image `oci-layout:///l:v3`"
    );
}

#[test]
fn one_tag_for_two_images_is_ambiguous() {
    let entries = [
        named("a", Some("v1"), Some("r.example/a:v1")),
        named("b", Some("v1"), Some("r.example/b:v1")),
    ];
    let error = find(&entries, Some("v1")).unwrap_err();
    assert!(
        error.contains("`r.example/a:v1`, `r.example/b:v1`"),
        "{error}"
    );
    assert_eq!(find(&entries, Some("r.example/b:v1")).unwrap(), entries[1]);
}

#[test]
fn without_a_tag_there_must_be_one_meaning() {
    let only = named("a", Some("x"), None);
    assert_eq!(find(std::slice::from_ref(&only), None).unwrap(), only);
    let twice = [only.clone(), named("a", Some("y"), None)];
    assert_eq!(find(&twice, None).unwrap(), only);
    let latest = named("b", Some("latest"), None);
    assert_eq!(find(&[only.clone(), latest.clone()], None).unwrap(), latest);
    let error = find(&[only, named("c", None, None)], None).unwrap_err();
    assert!(error.contains("`x`, `@sha256:"), "{error}");
    assert!(find(&[], None).unwrap_err().contains("the layout is empty"));
}

#[test]
fn unnamed_entries_of_distinct_platforms_are_chosen_by_platform() {
    let mut entries = [named("a", None, None), named("b", None, None)];
    entries[0].platform = Some(Platform::new("linux", "amd64"));
    entries[1].platform = Some(Platform::new("linux", "arm64"));
    let index = Index::oci(entries.to_vec());
    let found = entry(&index, &source(None, None)).unwrap();
    assert!(matches!(found, Entry::Platforms));
}

#[test]
fn a_missing_or_odd_layout_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Layout::open(&dir.path().join("no")).unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing}");
    let empty = Layout::open(dir.path()).unwrap().index().unwrap_err();
    assert!(empty.to_string().contains("no `index.json`"), "{empty}");
    std::fs::write(dir.path().join("index.json"), "{").unwrap();
    let broken = Layout::open(dir.path()).unwrap().index().unwrap_err();
    assert!(matches!(broken, ImageError::Corrupt { .. }), "{broken}");
    std::fs::write(dir.path().join("index.json"), vec![b' '; (4 << 20) + 1]).unwrap();
    let large = Layout::open(dir.path()).unwrap().index().unwrap_err();
    assert!(large.to_string().contains("larger than"), "{large}");
    let no_tar = Layout::open(&dir.path().join("index.json")).unwrap_err();
    assert!(no_tar.to_string().contains("as a tar archive"), "{no_tar}");
}

#[test]
fn archives_are_read_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    let blob = b"some blob";
    let digest = Digest::of(blob);
    for (name, bytes) in [
        (
            "./index.json".to_owned(),
            &br#"{"schemaVersion":2,"manifests":[]}"#[..],
        ),
        (format!("blobs/sha256/{}", digest.hex()), &blob[..]),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    builder.into_inner().unwrap();
    let layout = Layout::open(&path).unwrap();
    assert!(layout.index().unwrap().manifests.is_empty());
    let mut bytes = Vec::new();
    let mut found = layout.blob(&digest).unwrap().unwrap();
    found.reader.read_to_end(&mut bytes).unwrap();
    assert_eq!((found.size, bytes.as_slice()), (9, &blob[..]));
    assert!(layout.blob(&Digest::of(b"other")).unwrap().is_none());
}
