use super::*;
use crate::export::{Exporter, OciExporter, OciOutput};
use crate::testing::{E, f, image_of, put_layer, s, store};

/// Writes a layout of one image with one layer.
fn layout(dir: &Path, entries: &[E<'_>], store: &acetate_store::Store) -> std::path::PathBuf {
    let image = image_of(vec![put_layer(store, entries)], "linux/amd64");
    let path = dir.join(image.descriptor.digest.hex());
    let exporter = OciExporter {
        output: OciOutput::Directory(path.clone()),
        names: Vec::new(),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    exporter.export(&[image], store).unwrap();
    path
}

#[test]
fn every_path_that_differs_is_told_with_what_differs() {
    let (dir, store) = store();
    let first = layout(
        dir.path(),
        &[
            f("a", "1"),
            f("gone", ""),
            f("m", "x"),
            s("s", "a"),
            f("same", ""),
        ],
        &store,
    );
    let second = layout(
        dir.path(),
        &[
            f("a", "22"),
            f("m", "x").mode(0o600),
            f("new", ""),
            s("s", "b"),
            f("same", ""),
        ],
        &store,
    );
    let found = compare_layouts(&first, &second).unwrap();
    let [comparison] = found.as_slice() else {
        panic!("one platform");
    };
    assert!(!comparison.is_equal() && !comparison.is_time_only());
    let shown: Vec<String> = comparison.layers[0]
        .changes
        .iter()
        .map(|one| format!("{} {:?}", one.path, one.change))
        .collect();
    assert_eq!(
        shown,
        [
            "a Content(1, 2)",
            "gone Removed",
            "m Attribute(\"mode\", \"0644\", \"0600\")",
            "new Added",
            "s Attribute(\"target\", \"a\", \"b\")",
        ]
    );
    let same = compare_layouts(&first, &first).unwrap();
    assert!(same[0].is_equal() && same[0].layers.is_empty() && same[0].config.is_empty());
}
