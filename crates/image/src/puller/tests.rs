use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acetate_net::fake::{FakeServer, Reply, Seen};
use acetate_net::{Limits, NetClient};
use acetate_oci::{Compression, Index, MediaType, canonical_json};

use acetate_registry::{NoProgress, Progress, RegistryError};

use super::*;
use crate::testing::{Heard, d, f, image_of, put_layer, sample, store};
use crate::{Force, Image, ImageLayer, Recipe, compress};

fn net() -> Arc<Registries> {
    let net = NetClient::new(Limits {
        first_backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(20),
        idle_timeout: Duration::from_secs(5),
        n_retries: 3,
        ..Limits::default()
    });
    Arc::new(Registries::new(net, acetate_registry::Access::anonymous()))
}

/// The files of a registry by path, without `/v2/app/`.
type Files = BTreeMap<String, Vec<u8>>;

/// An image of two gzip layers and one plain one that is large.
fn sample_image(platform: &str) -> (Image, Files) {
    let (_dir, store) = store();
    let large = String::from_utf8_lossy(&sample(600_000)).into_owned();
    let plain: Vec<ImageLayer> = [
        put_layer(&store, &[d("etc"), f("etc/a", platform)]),
        put_layer(&store, &[f("b", &large)]),
    ]
    .into();
    let gzip = Recipe::new(Compression::Gzip);
    let first = compress(&store, &plain[0], gzip, Force::Plain).unwrap();
    let image = image_of(vec![first, plain[1].clone()], platform);
    let mut files = Files::new();
    for layer in &image.layers {
        let digest = layer.descriptor.digest;
        let bytes = store.blobs().read(&digest, u64::MAX).unwrap().unwrap();
        files.insert(format!("blobs/{digest}"), bytes);
    }
    let config = &image.manifest.config;
    files.insert(
        format!("blobs/{}", config.digest),
        image.config_bytes.clone(),
    );
    add_manifest(&mut files, &image.manifest_bytes, Some("latest"));
    (image, files)
}

fn add_manifest(files: &mut Files, bytes: &[u8], tag: Option<&str>) {
    files.insert(format!("manifests/{}", Digest::of(bytes)), bytes.to_vec());
    if let Some(tag) = tag {
        files.insert(format!("manifests/{tag}"), bytes.to_vec());
    }
}

fn serve(files: &Files, seen: &Seen) -> Reply {
    let found = seen
        .target
        .strip_prefix("/v2/app/")
        .and_then(|path| files.get(path));
    let Some(bytes) = found else {
        return Reply::new(
            404,
            r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such"}]}"#,
        );
    };
    match seen.range_start() {
        Some(start) => Reply::new(206, &bytes[start..]).header(
            "Content-Range",
            format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()),
        ),
        None => Reply::new(200, bytes.clone()),
    }
}

fn source(server: &FakeServer, rest: &str) -> ImageSource {
    ImageSource::Registry(format!("{}/app{rest}", server.host()).parse().unwrap())
}

fn amd64() -> Platform {
    Platform::new("linux", "amd64")
}

fn silent() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}

async fn pull_all(puller: &Puller, source: &ImageSource) -> Result<ResolvedImage, ImageError> {
    let image = puller.resolve(source, &amd64()).await?;
    let silent = silent();
    let all = (0..image.layers().len()).map(|idx| puller.fetch_layer(&image, idx, &silent));
    futures_util::future::try_join_all(all).await?;
    Ok(image)
}

/// The error of a pull, after which the bad blob must not be in the store.
async fn failure(
    files: Files,
    script: impl Fn(&Files, &Seen) -> Reply + Send + Sync + 'static,
) -> ImageError {
    let server = FakeServer::start(move |seen, _| script(&files, seen));
    let (_dir, store) = store();
    let puller = Puller::new(Arc::clone(&store), net());
    let error = pull_all(&puller, &source(&server, "")).await.unwrap_err();
    // Writers of the layers beside the failed one end on their own threads.
    for _ in 0..200 {
        if std::fs::read_dir(store.root().join("tmp")).map_or(0, Iterator::count) == 0 {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("temporary files are left after: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_by_tag_and_then_by_digest_without_network() {
    let (expected, files) = sample_image("linux/amd64");
    let server = FakeServer::start(move |seen, _| serve(&files, seen));
    let (_dir, store) = store();
    let puller = Puller::new(Arc::clone(&store), net());
    let image = pull_all(&puller, &source(&server, "")).await.unwrap();
    assert_eq!(image.manifest, expected.manifest);
    assert_eq!(image.manifest_digest, expected.descriptor.digest);
    assert_eq!(image.config, expected.config);
    assert_eq!(image.diff_ids().len(), 2);
    for layer in image.layers() {
        assert_eq!(store.blobs().has(&layer.digest).unwrap(), Some(layer.size));
    }
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    assert!(
        accept.contains("image.index.v1") && accept.contains("manifest.list.v2"),
        "{accept}"
    );
    let n_requests = server.seen().len();
    assert_eq!(n_requests, 4, "manifest, config and two layers");
    let pinned = ImageSource::Registry(image.reference().unwrap());
    let again = pull_all(&Puller::new(store, net()), &pinned).await.unwrap();
    assert_eq!(again.manifest_bytes, image.manifest_bytes);
    assert_eq!(
        server.seen().len(),
        n_requests,
        "everything was in the store"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_a_layer_hears_of_its_bytes_when_they_move() {
    let (expected, files) = sample_image("linux/amd64");
    let server = FakeServer::start(move |seen, _| serve(&files, seen));
    let (_dir, store) = store();
    let puller = Puller::new(store, net());
    let image = puller
        .resolve(&source(&server, ""), &amd64())
        .await
        .unwrap();
    let blobs: Vec<&Descriptor> = expected.layers.iter().map(|it| &it.descriptor).collect();
    for moving in [&blobs[..], &[]] {
        let heard = Arc::new(Heard::default());
        let progress: Arc<dyn Progress> = Arc::<Heard>::clone(&heard);
        for idx in 0..blobs.len() {
            puller.fetch_layer(&image, idx, &progress).await.unwrap();
        }
        heard.ended(moving);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_got_once() {
    let (_, files) = sample_image("linux/amd64");
    let server = FakeServer::start(move |seen, _| {
        if seen.target.starts_with("/token?") {
            assert_eq!(seen.header("authorization"), None);
            assert!(seen.target.contains("service=reg"), "{}", seen.target);
            assert!(
                seen.target.contains("scope=repository%3Aapp%3Apull"),
                "{}",
                seen.target
            );
            return Reply::new(200, r#"{"token":"t0k","expires_in":60}"#);
        }
        if seen.header("authorization") == Some("Bearer t0k") {
            return serve(&files, seen);
        }
        let host = seen.header("host").unwrap();
        Reply::new(401, "").header(
            "WWW-Authenticate",
            format!(
                r#"Bearer realm="http://{host}/token",service="reg",scope="repository:app:pull""#
            ),
        )
    });
    let (_dir, store) = store();
    pull_all(&Puller::new(store, net()), &source(&server, ""))
        .await
        .unwrap();
    let targets: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    let n_tokens = targets
        .iter()
        .filter(|target| target.starts_with("/token"))
        .count();
    assert_eq!((n_tokens, targets.len()), (1, 6), "{targets:?}");
}

#[tokio::test]
async fn logins_and_refusals_are_named() {
    let error = failure(Files::new(), |_, _| {
        Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\"")
    })
    .await;
    assert!(
        matches!(&error, ImageError::Registry(RegistryError::Denied { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("wants a login"), "{error}");
    let error = failure(Files::new(), serve).await;
    assert!(
        matches!(&error, ImageError::Registry(RegistryError::NotFound { .. })),
        "{error}"
    );
    let error = failure(Files::new(), |_, _| {
        Reply::new(403, r#"{"errors":[{"message":"go away"}]}"#)
    })
    .await;
    assert!(error.to_string().contains("go away"), "{error}");
    let error = failure(Files::new(), |_, _| Reply::new(418, "")).await;
    assert!(
        matches!(
            &error,
            ImageError::Registry(RegistryError::Refused { status: 418, .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn busy_registries_are_asked_again() {
    let (_, files) = sample_image("linux/amd64");
    let server = FakeServer::start(move |seen, n| match n {
        0 => Reply::new(429, "").header("Retry-After", "0"),
        1 => Reply::new(503, ""),
        _ => serve(&files, seen),
    });
    let (_dir, store) = store();
    pull_all(&Puller::new(store, net()), &source(&server, ""))
        .await
        .unwrap();
}

/// Cuts each answer for the large layer short; `resume` decides what a range request gets.
async fn cut_pull(resume: fn(&Files, &Seen) -> Reply) -> Vec<Option<usize>> {
    let (image, files) = sample_image("linux/amd64");
    let large = image.layers[1].descriptor.digest.to_string();
    let cut = large.clone();
    let server = FakeServer::start(move |seen, _| {
        if !seen.target.ends_with(&cut) {
            return serve(&files, seen);
        }
        match seen.range_start() {
            Some(_) => resume(&files, seen),
            None => serve(&files, seen).cut_after(200_000),
        }
    });
    let (_dir, store) = store();
    pull_all(
        &Puller::new(Arc::clone(&store), net()),
        &source(&server, ""),
    )
    .await
    .unwrap();
    assert!(
        store
            .blobs()
            .has(&image.layers[1].descriptor.digest)
            .unwrap()
            .is_some()
    );
    let seen = server
        .seen()
        .into_iter()
        .filter(|seen| seen.target.ends_with(&large));
    seen.map(|seen| seen.range_start()).collect()
}

#[tokio::test]
async fn cut_blobs_go_on_where_they_stopped() {
    assert_eq!(cut_pull(serve).await, [None, Some(200_000)]);
    let cut_again = |files: &Files, seen: &Seen| {
        let reply = serve(files, seen);
        if seen.range_start() == Some(200_000) {
            reply.cut_after(150_000)
        } else {
            reply
        }
    };
    assert_eq!(
        cut_pull(cut_again).await,
        [None, Some(200_000), Some(350_000)]
    );
}

#[tokio::test]
async fn servers_without_ranges_send_all_again() {
    let ignore = |files: &Files, seen: &Seen| {
        let mut plain = seen.clone();
        plain.headers.retain(|(name, _)| name != "range");
        serve(files, &plain)
    };
    assert_eq!(cut_pull(ignore).await, [None, Some(200_000)]);
}

#[tokio::test]
async fn endless_cuts_end() {
    let (image, files) = sample_image("linux/amd64");
    let large = image.layers[1].descriptor.digest.to_string();
    let error = failure(files, move |files, seen| {
        let reply = serve(files, seen);
        if seen.target.ends_with(&large) {
            reply.cut_after(0)
        } else {
            reply
        }
    })
    .await;
    assert!(
        matches!(
            error,
            ImageError::Registry(RegistryError::Net(
                acetate_net::NetError::Interrupted { .. }
            ))
        ),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_bytes_are_refused() {
    let (image, files) = sample_image("linux/amd64");
    let large = image.layers[1].descriptor.digest;
    let blob = format!("blobs/{large}");
    let change = |edit: fn(&mut Vec<u8>)| {
        let mut files = files.clone();
        edit(files.get_mut(&blob).unwrap());
        files
    };
    for (files, words) in [
        (change(|bytes| bytes[5] ^= 1), "have the digest"),
        (change(|bytes| bytes.truncate(9)), "ends after 9 of"),
        (change(|bytes| bytes.push(0)), "is larger than"),
    ] {
        let error = failure(files, serve).await;
        let text = error.to_string();
        assert!(text.starts_with("trust "), "{text}");
        assert!(
            text.contains(words) && text.contains(&large.to_string()),
            "{text}"
        );
    }
}

#[tokio::test]
async fn manifests_must_match_what_is_promised() {
    let (image, files) = sample_image("linux/amd64");
    let announced = failure(files.clone(), |files, seen| {
        let reply = serve(files, seen);
        reply.header("Docker-Content-Digest", Digest::of(b"else").to_string())
    })
    .await;
    assert!(
        announced.to_string().starts_with("trust the manifest"),
        "{announced}"
    );
    let mut large = files.clone();
    large.insert("manifests/latest".to_owned(), vec![b' '; (4 << 20) + 1]);
    let error = failure(large, serve).await;
    assert!(
        error
            .to_string()
            .contains("larger than the limit of 4194304"),
        "{error}"
    );
    let mut swapped = files.clone();
    let config = image.manifest.config.digest;
    swapped.insert(
        format!("blobs/{config}"),
        vec![b'x'; image.config_bytes.len()],
    );
    let error = failure(swapped, serve).await;
    assert!(error.to_string().contains(&config.to_string()), "{error}");
}

#[tokio::test]
async fn blobs_behind_redirects_get_no_credentials() {
    let (_, files) = sample_image("linux/amd64");
    let blobs = files.clone();
    let other = FakeServer::start(move |seen, _| {
        assert_eq!(seen.header("authorization"), None);
        serve(&blobs, seen)
    });
    let place = other.url("");
    let server = FakeServer::start(move |seen, _| {
        if seen.target.starts_with("/token") {
            return Reply::new(200, r#"{"access_token":"abc"}"#);
        }
        if seen.header("authorization") != Some("Bearer abc") {
            let host = seen.header("host").unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/token\"");
            return Reply::new(401, "").header("WWW-Authenticate", challenge);
        }
        if seen.target.contains("/blobs/") {
            return Reply::new(307, "").header("Location", format!("{place}{}", seen.target));
        }
        serve(&files, seen)
    });
    let (_dir, store) = store();
    pull_all(&Puller::new(store, net()), &source(&server, ""))
        .await
        .unwrap();
    assert_eq!(other.seen().len(), 3, "config and two layers");
}

#[tokio::test]
async fn indexes_lead_to_the_platform() {
    let (amd, mut files) = sample_image("linux/amd64");
    let (arm, arm_files) = sample_image("linux/arm64");
    files.extend(arm_files);
    let mut attestation = amd.descriptor.clone();
    attestation
        .annotations
        .insert("vnd.docker.reference.type".to_owned(), "x".to_owned());
    let inner = canonical_json(&Index::oci(vec![arm.descriptor.clone()]));
    let mut nested = Descriptor::of(MediaType::OCI_INDEX, &inner);
    nested.platform = None;
    let outer = Index::oci(vec![attestation, nested, amd.descriptor.clone()]);
    let outer = canonical_json(&outer);
    add_manifest(&mut files, &inner, None);
    add_manifest(&mut files, &outer, Some("multi"));
    let server = FakeServer::start(move |seen, _| serve(&files, seen));
    let (_dir, store) = store();
    let puller = Puller::new(store, net());
    let multi = source(&server, ":multi");
    for image in [&amd, &arm] {
        let found = puller.resolve(&multi, &image.platform()).await.unwrap();
        assert_eq!(found.manifest_digest, image.descriptor.digest);
        assert_eq!(found.root_digest, Digest::of(&outer));
        assert_eq!(found.platform(), image.platform());
    }
    let error = puller
        .resolve(&multi, &Platform::new("linux", "s390x"))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`linux/s390x`: it is offered for `linux/amd64`, `linux/arm64`"),
        "{text}"
    );
    // One named manifest is taken as it is.
    let single = format!("@{}", arm.descriptor.digest);
    let found = puller
        .resolve(&source(&server, &single), &amd64())
        .await
        .unwrap();
    assert_eq!(found.platform(), arm.platform());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_wanted_by_many_is_fetched_once() {
    let (image, files) = sample_image("linux/amd64");
    let digest = image.layers[1].descriptor.digest.to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let server = FakeServer::start(move |seen, _| {
        let reply = serve(&files, seen);
        if !seen.target.ends_with(&digest) {
            return reply;
        }
        counter.fetch_add(1, Ordering::SeqCst);
        reply.silence(Duration::from_millis(50))
    });
    let (_dir, store) = store();
    // Two pullers stand for two processes on one store.
    let pullers = [
        Puller::new(Arc::clone(&store), net()),
        Puller::new(store, net()),
    ];
    let source = source(&server, "");
    let mut wanted = Vec::new();
    for puller in &pullers {
        let image = puller.resolve(&source, &amd64()).await.unwrap();
        wanted.extend((0..4).map(|_| (puller, image.clone())));
    }
    let silent = silent();
    let all = wanted
        .iter()
        .map(|(puller, image)| puller.fetch_layer(image, 1, &silent));
    futures_util::future::try_join_all(all).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let error = pullers[0].fetch_layer(&wanted[0].1, 2, &silent).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn damaged_documents_in_the_store_are_read_again() {
    let (image, files) = sample_image("linux/amd64");
    let server = FakeServer::start(move |seen, _| serve(&files, seen));
    let (_dir, store) = store();
    let puller = Puller::new(Arc::clone(&store), net());
    let pinned = source(&server, &format!("@{}", image.descriptor.digest));
    pull_all(&puller, &pinned).await.unwrap();
    let path = store.blobs().path(&image.descriptor.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let again = puller.resolve(&pinned, &amd64()).await.unwrap();
    assert_eq!(again.manifest, image.manifest);
}

mod layouts;
