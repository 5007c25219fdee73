use acetate_oci::{
    ContainerConfig, Descriptor, Digest, HistoryEntry, ImageConfig, Index, Manifest, MediaType,
    Platform, Timestamp, canonical_json,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &[&str] = &[
    "awk",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "ip",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mv",
    "printf",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "tar",
    "test",
    "touch",
    "tr",
    "true",
    "umount",
    "uname",
    "wc",
    "yes",
];

/// An image of one layer, before it is written.
#[derive(Debug, Clone)]
pub struct Base {
    /// What it runs on.
    pub platform: Platform,
    /// The plain tar of its layer.
    pub tar: Vec<u8>,
    /// How it is run.
    pub config: ContainerConfig,
}

impl Base {
    /// A static busybox, links to it, accounts, and an ENV.
    ///
    /// # Panics
    /// When busybox-static is not installed.
    pub fn busybox() -> Self {
        static TAR: OnceLock<Vec<u8>> = OnceLock::new();
        Self {
            platform: Platform::host(),
            tar: TAR.get_or_init(|| tar().expect("a tar in memory")).clone(),
            config: ContainerConfig {
                env: vec!["PATH=/bin".into(), "FROM_BASE=1".into()],
                cmd: Some(vec!["sh".into()]),
                ..ContainerConfig::default()
            },
        }
    }

    /// The same for another platform.
    pub fn on(mut self, platform: &str) -> Self {
        self.platform = platform.parse().expect("a platform");
        self
    }
}

/// Writes the busybox image as an OCI layout.
///
/// # Panics
/// When the layout cannot be written, or busybox-static is not installed.
pub fn busybox_layout(dir: &Path) -> PathBuf {
    write_layout(&dir.join("busybox"), &[Base::busybox()])
}

/// Writes images as an OCI layout, all in its one index.
///
/// # Panics
/// When the layout cannot be written.
pub fn write_layout(layout: &Path, images: &[Base]) -> PathBuf {
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("the layout is made");
    let put = |bytes: &[u8]| {
        std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).expect("a blob is written");
    };
    let mut manifests = Vec::new();
    for image in images {
        put(&image.tar);
        let config = canonical_json(&config(image));
        put(&config);
        let layers = vec![Descriptor::of(MediaType::OCI_LAYER, &image.tar)];
        let manifest = canonical_json(&Manifest::oci(
            Descriptor::of(MediaType::OCI_CONFIG, &config),
            layers,
        ));
        put(&manifest);
        let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, &manifest);
        entry.platform = Some(image.platform.clone());
        manifests.push(entry);
    }
    let index = canonical_json(&Index::oci(manifests));
    std::fs::write(layout.join("index.json"), index).expect("the index is written");
    std::fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("the marker is written");
    layout.to_owned()
}

fn config(image: &Base) -> ImageConfig {
    let mut config = ImageConfig::scratch(&image.platform);
    config.created = Some(Timestamp::from_secs(1_000_000_000));
    config.config = image.config.clone();
    config.rootfs.diff_ids = vec![Digest::of(&image.tar)];
    config.history = vec![HistoryEntry {
        created: config.created,
        created_by: "busybox".into(),
        ..HistoryEntry::default()
    }];
    config
}

fn tar() -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let dirs = [
        ("bin/", 0o755),
        ("data/", 0o755),
        ("data/sub/", 0o755),
        ("etc/", 0o755),
        ("root/", 0o700),
        ("tmp/", 0o1777),
    ];
    for (path, mode) in dirs {
        entry(&mut tar, tar::EntryType::Directory, path, mode, &[])?;
    }
    let busybox = std::fs::read(BUSYBOX).expect("busybox-static is installed");
    entry(
        &mut tar,
        tar::EntryType::Regular,
        "bin/busybox",
        0o755,
        &busybox,
    )?;
    for applet in APPLETS {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    for (path, text) in [
        ("data/a", "a\n"),
        ("data/b", "b\n"),
        ("data/sub/c", "c\n"),
        ("data/sub/d", "d\n"),
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
        ),
        ("etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:app\n"),
    ] {
        entry(
            &mut tar,
            tar::EntryType::Regular,
            path,
            0o644,
            text.as_bytes(),
        )?;
    }
    let mut link = header(tar::EntryType::Symlink, 0o777, 0);
    tar.append_link(&mut link, "data/link", "a")?;
    let mut hard = header(tar::EntryType::Link, 0o644, 0);
    tar.append_link(&mut hard, "data/hard", "data/b")?;
    tar.into_inner()
}

fn entry(
    tar: &mut tar::Builder<Vec<u8>>,
    kind: tar::EntryType,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = header(kind, mode, content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(size);
    header
}
