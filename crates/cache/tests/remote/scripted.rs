//! A small cache in memory whose answers a test can spoil.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use acetate_net::fake::{FakeServer, Reply, Seen};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a spoiled request is answered with, given what would have been the answer.
pub(crate) type Spoil = Box<dyn Fn(&Seen, Reply) -> Reply + Send + Sync>;

/// Which parts of the protocol the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speaks {
    /// Objects.
    Objects,
    /// Questions of the Remote Execution API as well.
    Batches,
    /// Our own extensions as well.
    Extensions,
}

/// The server.
pub(crate) struct Scripted {
    pub(crate) server: FakeServer,
    pub(crate) objects: Objects,
    spoil: Arc<Mutex<Option<Spoil>>>,
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl Scripted {
    pub(crate) fn start(speaks: Speaks) -> Self {
        let objects = Objects::default();
        let spoil: Arc<Mutex<Option<Spoil>>> = Arc::default();
        let (kept, spoiled) = (Arc::clone(&objects), Arc::clone(&spoil));
        let server = FakeServer::start(move |seen, _| {
            let reply = answer(speaks, &kept, seen);
            let spoil = spoiled.lock().unwrap_or_else(PoisonError::into_inner);
            match &*spoil {
                Some(spoil) => spoil(seen, reply),
                None => reply,
            }
        });
        Self {
            server,
            objects,
            spoil,
        }
    }

    /// Spoils answers from now on.
    pub(crate) fn spoil(&self, spoil: impl Fn(&Seen, Reply) -> Reply + Send + Sync + 'static) {
        *self.spoil.lock().unwrap() = Some(Box::new(spoil));
    }

    /// Answers as it should again.
    pub(crate) fn heal(&self) {
        *self.spoil.lock().unwrap() = None;
    }

    /// Changes what is kept, behind the back of everybody.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        edit(&mut self.objects.lock().unwrap());
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("/org/repo")
    }

    /// How many requests came whose method and path hold these texts.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let seen = self.server.seen();
        let matching = seen
            .iter()
            .filter(|s| s.method == method && s.target.contains(path));
        matching.count()
    }
}

fn answer(speaks: Speaks, objects: &Objects, seen: &Seen) -> Reply {
    let mut objects = objects.lock().unwrap();
    let path = seen.target.as_str();
    if path.starts_with("/v2/") && speaks >= Speaks::Batches {
        return batches(&objects, seen);
    }
    if path.ends_with("/ac:batchGet") && speaks >= Speaks::Extensions {
        let asked: Value = serde_json::from_slice(&seen.body).unwrap();
        let keys = asked["keys"].as_array().unwrap().iter();
        let found = keys.filter_map(|key| {
            let body = objects.get(&format!("/org/repo/ac/{}", key.as_str()?))?;
            Some(json!({"key": key, "namespace": "org/repo", "body": STANDARD.encode(body)}))
        });
        return reply_json(&json!({"records": found.collect::<Vec<_>>()}));
    }
    if path.starts_with("/v2/") || path.starts_with("/x/v1/") {
        return Reply::new(404, "not found");
    }
    match seen.method.as_str() {
        "GET" | "HEAD" => match objects.get(path) {
            Some(body) => Reply::new(200, body.clone()),
            None => Reply::new(404, ""),
        },
        "DELETE" => match objects.remove(path) {
            Some(_) => Reply::new(204, ""),
            None => Reply::new(404, ""),
        },
        "PUT" if seen.header("if-none-match").is_some() && objects.contains_key(path) => {
            Reply::new(412, "there")
        }
        "PUT" => {
            objects.insert(path.to_owned(), seen.body.clone());
            // Clients of S3 want one.
            Reply::new(201, "").header("ETag", "\"1\"")
        }
        _ => Reply::new(405, ""),
    }
}

fn batches(objects: &BTreeMap<String, Vec<u8>>, seen: &Seen) -> Reply {
    if seen.target.ends_with("/capabilities") {
        return reply_json(&json!({"cacheCapabilities": {"digestFunctions": ["SHA256"]}}));
    }
    let asked: Value = serde_json::from_slice(&seen.body).unwrap();
    let digests = asked["blobDigests"].as_array().unwrap().iter();
    let missing = digests.filter(|digest| {
        let path = format!("/org/repo/cas/{}", digest["hash"].as_str().unwrap());
        !objects.contains_key(&path)
    });
    reply_json(&json!({"missingBlobDigests": missing.collect::<Vec<_>>()}))
}

fn reply_json(value: &Value) -> Reply {
    Reply::new(200, value.to_string()).header("Content-Type", "application/json")
}
