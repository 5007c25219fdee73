//! A registry in memory whose faults are scripted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acetate_net::fake::{FakeServer, Reply, Seen};
use acetate_net::{Limits, NetClient};
use acetate_oci::{Descriptor, Digest, MediaType};

use crate::{
    Access, AuthPaths, MemorySource, NoProgress, Progress, PushBlob, PushManifest, Registries,
    Repository,
};

pub(super) fn net() -> NetClient {
    NetClient::new(Limits {
        first_backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(20),
        idle_timeout: Duration::from_secs(5),
        n_retries: 3,
        ..Limits::default()
    })
}

pub(super) fn anonymous() -> Registries {
    Registries::new(net(), Access::anonymous())
}

/// Registries that know what this `config.json` says.
pub(super) fn with_config(json: &str) -> (tempfile::TempDir, Registries) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, json).unwrap();
    let mut access = Access::anonymous();
    access.auth = AuthPaths { files: vec![path] };
    (dir, Registries::new(net(), access))
}

pub(super) fn app(server: &FakeServer) -> Repository {
    named(server, "app")
}

pub(super) fn named(server: &FakeServer, path: &str) -> Repository {
    Repository::from(&format!("{}/{path}", server.host()).parse().unwrap())
}

pub(super) fn silent() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}

/// Some bytes that differ from place to place.
pub(super) fn sample(n: usize) -> Vec<u8> {
    (0..n)
        .map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap())
        .collect()
}

pub(super) fn blob(bytes: &[u8]) -> PushBlob {
    PushBlob {
        descriptor: Descriptor::of(MediaType::OCI_LAYER, bytes),
        source: Arc::new(MemorySource(bytes.into())),
        mount_from: Vec::new(),
    }
}

pub(super) fn manifest(text: &str) -> PushManifest {
    PushManifest {
        media_type: MediaType::OCI_MANIFEST,
        bytes: text.as_bytes().to_vec(),
    }
}

/// What a registry holds, and the rules by which it answers; faults are put in front of them.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By `REPOSITORY/NAME`: type and bytes.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    sessions: BTreeMap<String, Vec<u8>>,
    n_sessions: usize,
}

impl Fake {
    pub(super) fn put_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut state = self.0.lock().unwrap();
        state.blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }

    pub(super) fn put_manifest(&self, name: &str, bytes: &[u8]) {
        let kind = MediaType::OCI_MANIFEST.to_string();
        let mut state = self.0.lock().unwrap();
        for name in [name.to_owned(), Digest::of(bytes).to_string()] {
            state
                .manifests
                .insert(format!("app/{name}"), (kind.clone(), bytes.to_vec()));
        }
    }

    pub(super) fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.0
            .lock()
            .unwrap()
            .blobs
            .get(&digest.to_string())
            .cloned()
    }

    pub(super) fn manifest(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.0.lock().unwrap();
        Some(state.manifests.get(&format!("app/{name}"))?.1.clone())
    }

    /// Appends to the newest session, as if a cut request had been received in part.
    pub(super) fn receive(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap();
        let newest = state.n_sessions.to_string();
        state
            .sessions
            .get_mut(&newest)
            .unwrap()
            .extend_from_slice(bytes);
    }

    pub(super) fn lose_sessions(&self) {
        self.0.lock().unwrap().sessions.clear();
    }

    /// Answers as a good registry does.
    pub(super) fn serve(&self, seen: &Seen) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let Some(path) = path.strip_prefix("/v2/") else {
            return Reply::new(404, "");
        };
        if let Some(session) = path.split("/blobs/uploads/").nth(1) {
            return self.upload(seen, session, query);
        }
        if let Some((_, digest)) = path.split_once("/blobs/") {
            let state = self.0.lock().unwrap();
            return match state.blobs.get(digest) {
                Some(bytes) => with_range(seen, bytes),
                None => Reply::new(404, ""),
            };
        }
        match path.split_once("/manifests/") {
            Some((repository, name)) => self.document(seen, repository, name),
            None => Reply::new(404, ""),
        }
    }

    fn document(&self, seen: &Seen, repository: &str, name: &str) -> Reply {
        let mut state = self.0.lock().unwrap();
        if seen.method == "PUT" {
            let kind = seen.header("content-type").unwrap().to_owned();
            let digest = Digest::of(&seen.body).to_string();
            for name in [name, &digest] {
                let content = (kind.clone(), seen.body.clone());
                state
                    .manifests
                    .insert(format!("{repository}/{name}"), content);
            }
            return Reply::new(201, "").header("Docker-Content-Digest", digest);
        }
        match state.manifests.get(&format!("{repository}/{name}")) {
            Some((kind, bytes)) => Reply::new(200, bytes.clone())
                .header("Content-Type", kind)
                .header("Docker-Content-Digest", Digest::of(bytes).to_string()),
            None => Reply::new(404, r#"{"errors":[{"message":"manifest unknown"}]}"#),
        }
    }

    fn upload(&self, seen: &Seen, session: &str, query: &str) -> Reply {
        let mut state = self.0.lock().unwrap();
        if seen.method == "POST" {
            state.n_sessions += 1;
            let id = state.n_sessions.to_string();
            state.sessions.insert(id.clone(), Vec::new());
            let location = format!("/v2/app/blobs/uploads/{id}?_state=a%2Fb");
            return Reply::new(202, "").header("Location", location);
        }
        let Some(bytes) = state.sessions.get_mut(session) else {
            return Reply::new(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#);
        };
        assert!(
            query.starts_with("_state=a%2Fb"),
            "the query is kept: {query}"
        );
        if let Some(range) = seen.header("content-range") {
            let start = bytes.len();
            assert!(
                range.starts_with(&format!("{start}-")),
                "{range} at {start}"
            );
        }
        bytes.extend_from_slice(&seen.body);
        let range = format!("0-{}", bytes.len().saturating_sub(1));
        let location = format!("{session}?_state=a%2Fb");
        match seen.method.as_str() {
            "GET" => Reply::new(204, "").header("Range", range),
            "PATCH" => Reply::new(202, "")
                .header("Range", range)
                .header("Location", location),
            _ => {
                let (digest, whole) = (Digest::of(bytes).to_string(), bytes.clone());
                if !query.ends_with(&format!("digest={}", digest.replace(':', "%3A"))) {
                    return Reply::new(400, r#"{"errors":[{"message":"digest invalid"}]}"#);
                }
                state.sessions.remove(session);
                state.blobs.insert(digest, whole);
                Reply::new(201, "")
            }
        }
    }
}

/// A 206 where a range is asked for, else a 200.
pub(super) fn with_range(seen: &Seen, bytes: &[u8]) -> Reply {
    match seen.range_start() {
        Some(start) => Reply::new(206, &bytes[start..]).header(
            "Content-Range",
            format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()),
        ),
        None => Reply::new(200, bytes),
    }
}

/// `METHOD last-part-of-the-path` of all requests.
pub(super) fn lines(server: &FakeServer) -> Vec<String> {
    let seen = server.seen().into_iter();
    seen.map(|seen| {
        let path = seen.target.split('?').next().unwrap();
        let short = path.strip_prefix("/v2/app/").unwrap_or(path);
        let short = match short.split_once("sha256:") {
            Some((kind, _)) => format!("{kind}D"),
            None => short.to_owned(),
        };
        format!("{} {short}", seen.method)
    })
    .collect()
}
