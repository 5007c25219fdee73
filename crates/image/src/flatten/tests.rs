use expect_test::{Expect, expect};

use super::*;
use crate::tarball::MemberKind;
use crate::testing::{E, d, f, h, k, put_layer, s, store, tar_of};
use crate::{Force, Recipe, compress};
use acetate_oci::Compression;

/// The names of the layers laid over one another, with what they hold.
fn render(flat: &Flat) -> String {
    let mut out = String::new();
    for (path, node) in flat.tree.iter() {
        let path = String::from_utf8(path).unwrap();
        let what = match node {
            Node::Directory(attributes) => format!("dir {:o}", attributes.mode),
            Node::Symlink(_, target) => format!("-> {}", String::from_utf8_lossy(target)),
            Node::Device(_, device) => format!("{device:?}"),
            Node::Fifo(_) => "fifo".to_owned(),
            Node::File(id) => {
                let (_, content) = flat.tree.inode(*id);
                let mut text = String::new();
                flat.open(content).read_to_string(&mut text).unwrap();
                format!("{id:?} {text}")
            }
        };
        out.extend([path.as_str(), ": ", &what, "\n"]);
    }
    out
}

fn flatten_all(layers: &[&[E<'_>]]) -> Result<String, String> {
    let (_dir, store) = store();
    let plain: Vec<_> = layers
        .iter()
        .map(|entries| put_layer(&store, entries))
        .collect();
    let flat = flatten(&store, &plain).map_err(|error| error.to_string())?;
    let expected = render(&flat);
    for kind in [Compression::Gzip, Compression::Zstd] {
        let packed: Vec<_> = plain
            .iter()
            .map(|layer| compress(&store, layer, Recipe::new(kind), Force::Plain).unwrap())
            .collect();
        assert_eq!(
            render(&flatten(&store, &packed).unwrap()),
            expected,
            "{kind:?}"
        );
    }
    Ok(expected)
}

fn check(layers: &[&[E<'_>]], expected: &Expect) {
    expected.assert_eq(&flatten_all(layers).unwrap());
}

fn refuse(entries: &[E<'_>], words: &str) {
    let error = flatten_all(&[entries]).unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[test]
fn the_top_wins() {
    check(
        &[
            &[d("a"), f("a/x", "old"), f("a/y", "kept"), s("l", "a")],
            &[d("a").mode(0o700), f("a/x", "new"), f("l", "file now")],
        ],
        &expect![[r"
            a: dir 700
            a/x: InodeId(2) new
            a/y: InodeId(1) kept
            l: InodeId(3) file now
        "]],
    );
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    check(
        &[
            &[
                d("a"),
                f("a/x", "1"),
                f("a/y", "2"),
                d("b"),
                f("b/z", "3"),
                f("bb", "stays"),
            ],
            // The new file has the name of the hidden one, and comes before the mark.
            &[
                f("a/x", "new"),
                f("a/.wh.x", ""),
                f(".wh.b", ""),
                f(".wh..wh.aufs", ""),
                f(".wh.", ""),
            ],
        ],
        &expect![[r"
            a: dir 755
            a/x: InodeId(4) new
            a/y: InodeId(1) 2
            bb: InodeId(3) stays
        "]],
    );
}

#[test]
fn opaque_directories_begin_anew() {
    check(
        &[
            &[
                d("a"),
                f("a/x", "1"),
                d("a/s"),
                f("a/s/y", "2"),
                f("ab", "3"),
            ],
            &[d("a"), f("a/new", "4"), f("a/.wh..wh..opq", "")],
        ],
        &expect![[r"
            a: dir 755
            a/new: InodeId(3) 4
            ab: InodeId(2) 3
        "]],
    );
    check(
        &[&[f("x", "1")], &[f(".wh..wh..opq", ""), f("y", "2")]],
        &expect![[r"
            y: InodeId(1) 2
        "]],
    );
}

#[test]
fn links_share_their_file_across_layers() {
    check(
        &[
            &[f("a", "text"), h("b", "a"), h("c", "./b")],
            &[h("d", "a"), f(".wh.b", "")],
            &[f("a", "other")],
        ],
        &expect![[r"
            a: InodeId(1) other
            c: InodeId(0) text
            d: InodeId(0) text
        "]],
    );
    refuse(
        &[h("a", "missing")],
        "`a` is a hard link to the missing `missing`",
    );
    refuse(&[d("x"), h("a", "x")], "hard link to a directory");
}

#[test]
fn directories_and_others_replace_each_other() {
    check(
        &[
            &[d("a"), f("a/x", "1"), s("b", "a"), d("c")],
            &[f("a", "file"), d("b"), f("b/y", "2"), s("c", "b")],
        ],
        &expect![[r"
            a: InodeId(1) file
            b: dir 755
            b/y: InodeId(2) 2
            c: -> b
        "]],
    );
}

#[test]
fn parents_are_made_and_links_to_them_followed() {
    check(
        &[
            &[
                d("usr"),
                s("bin", "usr/bin"),
                s("abs", "/usr"),
                s("up", "../../usr"),
            ],
            &[
                f("bin/tool", "1"),
                f("abs/a", "2"),
                f("up/b", "3"),
                f("new/deep/c", "4"),
            ],
            &[f("bin/.wh.tool", ""), f("nowhere/.wh.x", "")],
        ],
        &expect![[r"
            abs: -> /usr
            bin: -> usr/bin
            new: dir 755
            new/deep: dir 755
            new/deep/c: InodeId(3) 4
            up: -> ../../usr
            usr: dir 755
            usr/a: InodeId(1) 2
            usr/b: InodeId(2) 3
            usr/bin: dir 755
        "]],
    );
    refuse(&[f("a", ""), f("a/b", "")], "`a` is used as a directory");
    refuse(&[s("a", "b"), s("b", "a"), f("a/x", "")], "too many links");
}

#[test]
fn names_sort_with_their_directory() {
    check(
        &[&[
            f("a-b", "1"),
            d("a"),
            f("a/x", "2"),
            f("a.c", "3"),
            k("p", MemberKind::Fifo),
        ]],
        &expect![[r"
            a: dir 755
            a/x: InodeId(1) 2
            a-b: InodeId(0) 1
            a.c: InodeId(2) 3
            p: fifo
        "]],
    );
}

#[test]
fn broken_layers_are_refused() {
    refuse(&[f("../x", "")], "leads out of its directory");
    refuse(&[f("a/../../x", "")], "leads out of its directory");
    refuse(
        &[k("dev", MemberKind::CharDevice(0, 0))],
        "character device 0:0",
    );
    let (_dir, store) = store();
    let whole = tar_of(&[f("a", "some text"), f("b", "more")]);
    let try_bytes = |bytes: &[u8]| {
        let put = store.blobs().put(bytes).unwrap();
        let layer = ImageLayer {
            descriptor: acetate_oci::Descriptor::new(
                acetate_oci::MediaType::OCI_LAYER,
                put.digest,
                put.size,
            ),
            diff_id: put.digest,
        };
        flatten(&store, &[layer])
            .map(|flat| render(&flat))
            .map_err(|error| error.to_string())
    };
    assert!(try_bytes(&whole).is_ok());
    assert!(try_bytes(b"").is_ok(), "an empty layer is an empty tar");
    for n in [100, 600, 1100, 1600] {
        let error = try_bytes(&whole[..n]).unwrap_err();
        assert!(error.contains("trust layer"), "{n}: {error}");
    }
    let mut flipped = whole.clone();
    flipped[1024 + 3] ^= 1;
    assert!(try_bytes(&flipped).unwrap_err().contains("checksum"));
    let twice = [whole.clone(), whole].concat();
    assert!(try_bytes(&twice).unwrap_err().contains("follows the end"));
}

#[test]
fn damaged_and_missing_blobs_are_noticed() {
    let (_dir, store) = store();
    let layer = put_layer(&store, &[f("a", "text")]);
    let path = store.blobs().path(&layer.descriptor.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(4)
        .position(|window| window == b"text")
        .unwrap();
    bytes[at] = b'T';
    std::fs::write(&path, &bytes).unwrap();
    let error = flatten(&store, std::slice::from_ref(&layer)).unwrap_err();
    assert!(
        matches!(error, ExportError::Image(ImageError::Corrupt { .. })),
        "{error}"
    );
    store.blobs().remove(&layer.descriptor.digest).unwrap();
    let error = flatten(&store, std::slice::from_ref(&layer)).unwrap_err();
    assert!(
        matches!(error, ExportError::Image(ImageError::NotFound { .. })),
        "{error}"
    );
}
