//! Other programs read what we write, and write what we read.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use acetate_net::{Limits, NetClient};
use acetate_oci::Platform;
use acetate_registry::{NoProgress, Progress};
use serde_json::Value;

use super::*;
use crate::{ImageSource, Puller};

/// Runs a program; `None`, with a line that says so, when it is not installed.
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(args).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: needs {program}");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn registries() -> std::sync::Arc<acetate_registry::Registries> {
    let net = NetClient::new(Limits::default());
    let access = acetate_registry::Access::anonymous();
    std::sync::Arc::new(acetate_registry::Registries::new(net, access))
}

/// What skopeo says of an image.
fn inspect(image: &str) -> Option<Value> {
    // The configuration is the same whatever archive it stands in.
    let text = run("skopeo", &["inspect", "--config", image])?;
    Some(serde_json::from_str(&text).unwrap())
}

fn mixed(store: &Store) -> Image {
    let plain = layers(store);
    let gzip = compress(
        store,
        &plain[0],
        Recipe::new(Compression::Gzip),
        Force::Plain,
    )
    .unwrap();
    image_of(vec![gzip, plain[1].clone()], "linux/amd64")
}

#[test]
fn skopeo_reads_every_archive() {
    let (dir, store) = store();
    let image = mixed(&store);
    let expected: Value = serde_json::from_slice(&image.config_bytes).unwrap();
    let images = std::slice::from_ref(&image);
    let path = |name: &str| dir.path().join(name);
    let oci = |output| OciExporter {
        output,
        names: names(&["app:1"]),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    oci(OciOutput::Archive(Destination::File(path("o.tar"))))
        .export(images, &store)
        .unwrap();
    oci(OciOutput::Directory(path("o")))
        .export(images, &store)
        .unwrap();
    let docker = DockerExporter {
        destination: Destination::File(path("d.tar")),
        names: names(&["app:1"]),
        companions: Vec::new(),
    };
    docker.export(images, &store).unwrap();
    let root = dir.path().display();
    for image in [
        format!("oci-archive:{root}/o.tar:1"),
        format!("oci:{root}/o:1"),
        format!("docker-archive:{root}/d.tar"),
        format!("docker-archive:{root}/d.tar:app:1"),
    ] {
        let Some(found) = inspect(&image) else {
            return;
        };
        assert_eq!(found["rootfs"], expected["rootfs"], "{image}");
        assert_eq!(found["config"], expected["config"], "{image}");
    }
    // Copying reads and checks every layer.
    let copy = format!("dir:{root}/copied");
    run(
        "skopeo",
        &["copy", "-q", &format!("docker-archive:{root}/d.tar"), &copy],
    );
    run(
        "skopeo",
        &["copy", "-q", &format!("oci-archive:{root}/o.tar:1"), &copy],
    );
}

#[test]
fn others_decompress_every_form() {
    let (dir, store) = store();
    let long = "every form has several members or frames\n".repeat(300_000);
    let forms = ["gzip", "zstd", "estargz"].map(|name| {
        let layer = put_layer(&store, &[d("a"), f("a/long", &long), f(name, name)]);
        let recipe = Recipe::named(name).unwrap();
        compress(&store, &layer, recipe, Force::Plain).unwrap()
    });
    let diff_ids = forms.clone().map(|form| form.diff_id);
    let path = dir.path().join("o.tar");
    let exporter = OciExporter {
        output: OciOutput::Archive(Destination::File(path.clone())),
        names: names(&["app:1"]),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    let image = image_of(forms.to_vec(), "linux/amd64");
    exporter.export(&[image], &store).unwrap();
    let source = format!("oci-archive:{}:1", path.display());
    let out = dir.path().join("out");
    let copy = format!("dir:{}", out.display());
    if run(
        "skopeo",
        &["copy", "-q", "--dest-decompress", &source, &copy],
    )
    .is_some()
    {
        for diff_id in diff_ids {
            let bytes = std::fs::read(out.join(diff_id.hex())).unwrap();
            assert_eq!(acetate_oci::Digest::of(&bytes), diff_id);
        }
    }
    // Unpacking compares every layer with its `diff_id`.
    if rustix::process::geteuid().is_root() {
        let place = |name: &str| dir.path().join(name).display().to_string();
        let (root, runroot) = (place("root"), place("run"));
        let common = ["--root", &root, "--runroot", &runroot];
        let pull = ["--storage-driver", "vfs", "pull", "-q", &source];
        run("buildah", &[&common[..], &pull].concat());
    }
}

#[test]
fn umoci_unpacks_what_local_export_writes() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let (dir, store) = store();
    let image = mixed(&store);
    let layout = dir.path().join("o");
    let exporter = OciExporter {
        output: OciOutput::Directory(layout.clone()),
        names: names(&["app:1"]),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    exporter
        .export(std::slice::from_ref(&image), &store)
        .unwrap();
    let bundle = dir.path().join("bundle");
    let source = format!("{}:1", layout.display());
    let args = ["unpack", "--image", &source, &bundle.display().to_string()];
    if run("umoci", &args).is_none() {
        return;
    }
    let out = dir.path().join("out");
    local(&out, &image, &store).unwrap();
    let mut unpacked = listing(&bundle.join("rootfs"));
    // The one thing that a local export leaves out.
    assert_eq!(unpacked.remove("node").as_deref(), Some("600 special"));
    assert_eq!(listing(&out), unpacked);
}

#[test]
fn buildah_takes_archives() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let (dir, store) = store();
    let image = mixed(&store);
    let path = dir.path().join("o.tar");
    let exporter = OciExporter {
        output: OciOutput::Archive(Destination::File(path.clone())),
        names: names(&["app:1"]),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    exporter.export(&[image], &store).unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let (root, runroot) = (place("root"), place("run"));
    let source = format!("oci-archive:{}:1", path.display());
    let common = [
        "--root",
        &root,
        "--runroot",
        &runroot,
        "--storage-driver",
        "vfs",
    ];
    let pulled = run("buildah", &[&common[..], &["pull", "-q", &source]].concat());
    let Some(id) = pulled else {
        return;
    };
    let format = [
        "inspect",
        "--type",
        "image",
        "--format",
        "{{.OCIv1.Config.Cmd}}",
        id.trim(),
    ];
    let cmd = run("buildah", &[&common[..], &format].concat()).unwrap();
    assert_eq!(cmd.trim(), "[/bin/app]");
}

#[tokio::test]
async fn archives_are_read_back() {
    let (dir, store) = store();
    let image = mixed(&store);
    let images = std::slice::from_ref(&image);
    let path = |name: &str| dir.path().join(name);
    let exporter = OciExporter {
        output: OciOutput::Archive(Destination::File(path("o.tar"))),
        names: names(&["app:1"]),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    exporter.export(images, &store).unwrap();
    let docker = DockerExporter {
        destination: Destination::File(path("d.tar")),
        names: Vec::new(),
        companions: Vec::new(),
    };
    docker.export(images, &store).unwrap();
    for name in ["o.tar", "d.tar"] {
        let fresh = Store::open(&path(&format!("store-{name}"))).unwrap();
        let puller = Puller::new(Arc::clone(&fresh), registries());
        let source = ImageSource::layout(path(name));
        let found = puller
            .resolve(&source, &Platform::new("linux", "amd64"))
            .await
            .unwrap();
        assert_eq!(found.config_bytes, image.config_bytes);
        let silent: Arc<dyn Progress> = Arc::new(NoProgress);
        for idx in 0..found.layers().len() {
            let layer = puller.fetch_layer(&found, idx, &silent).await.unwrap();
            assert_eq!(fresh.blobs().has(&layer.digest).unwrap(), Some(layer.size));
        }
    }
}

/// A registry on a free loopback port; it ends with the test.
struct Registry {
    child: Child,
    host: String,
}

impl Registry {
    fn start(dir: &Path) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = dir.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{free}\"}}\n",
            dir.join("registry").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: needs docker-registry");
            return None;
        };
        let registry = Self {
            child,
            host: free.to_string(),
        };
        for _ in 0..200 {
            if TcpStream::connect(free).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the registry does not answer");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_registry_gives_what_skopeo_pushed() {
    let (dir, store) = store();
    let image = mixed(&store);
    let layout = dir.path().join("o");
    let exporter = OciExporter {
        output: OciOutput::Directory(layout.clone()),
        names: names(&["app:1"]),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    exporter
        .export(std::slice::from_ref(&image), &store)
        .unwrap();
    let Some(registry) = Registry::start(dir.path()) else {
        return;
    };
    let from = format!("oci:{}:1", layout.display());
    for (format, tag) in [("oci", "oci"), ("v2s2", "docker")] {
        let to = format!("docker://{}/team/app:{tag}", registry.host);
        let args = [
            "copy",
            "-q",
            "--dest-tls-verify=false",
            "--format",
            format,
            &from,
            &to,
        ];
        if run("skopeo", &args).is_none() {
            return;
        }
        let fresh = Store::open(&dir.path().join(tag)).unwrap();
        let puller = Puller::new(Arc::clone(&fresh), registries());
        let name = format!("{}/team/app:{tag}", registry.host);
        let source: ImageSource = name.parse().unwrap();
        let found = puller
            .resolve(&source, &Platform::new("linux", "amd64"))
            .await
            .unwrap();
        assert_eq!(found.diff_ids(), image.config.rootfs.diff_ids);
        let silent: Arc<dyn Progress> = Arc::new(NoProgress);
        let all = (0..found.layers().len()).map(|idx| puller.fetch_layer(&found, idx, &silent));
        let layers = futures_util::future::try_join_all(all).await.unwrap();
        let layers: Vec<_> = layers
            .into_iter()
            .zip(found.diff_ids())
            .map(|(descriptor, diff_id)| ImageLayer {
                descriptor,
                diff_id: *diff_id,
            })
            .collect();
        // Reading them all checks every diff_id.
        assert!(crate::flatten::flatten(&fresh, &layers).is_ok());
    }
}
