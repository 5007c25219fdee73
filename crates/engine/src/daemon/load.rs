//! Gives an image to an engine, without the layers that it has.

use super::Connection;
use crate::{BuildError, Engine};
use acetate_image::{Destination, DockerExporter, ExportError, Exporter, Image, export_partial};
use acetate_net::{SocketAnswer, SocketBody, SocketClient};
use acetate_oci::{Digest, Reference};
use acetate_store::Store;
use serde::Deserialize;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The most bytes of an answer that are read.
const LIMIT: usize = 16 << 20;
/// How many images of the engine are looked at.
const N_IMAGES: usize = 1000;
/// The driver type by which an engine says that containerd keeps its images, which has to get all.
const CONTAINERD: &str = "io.containerd.snapshotter";

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Layers that the engine had.
    pub(crate) n_omitted: usize,
    /// Layers in all.
    pub(crate) n_layers: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// One line of what an engine says while it loads.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

/// Loads one image under its names.
pub(crate) async fn load(
    to: &Connection,
    store: &Arc<Store>,
    image: &Image,
    names: &[Reference],
) -> Result<Loaded, BuildError> {
    let n_known = match known(&to.client, image).await {
        Ok(n_known) => n_known,
        Err(reason) => {
            tracing::debug!(%reason, "all layers are sent");
            0
        }
    };
    let mut loaded = Loaded {
        n_omitted: n_known,
        n_layers: image.layers.len(),
    };
    if n_known > 0 {
        let diff_ids = image.layers.iter().map(|layer| layer.diff_id);
        let omitted: BTreeSet<Digest> = diff_ids.take(n_known).collect();
        match send(to, store, image, names, omitted).await {
            Ok(()) => return Ok(loaded),
            // Between the question and the load an image may have been removed.
            Err(error) => tracing::debug!(%error, "the image is loaded with all layers"),
        }
        loaded.n_omitted = 0;
    }
    send(to, store, image, names, BTreeSet::new()).await?;
    Ok(loaded)
}

async fn send(
    to: &Connection,
    store: &Arc<Store>,
    image: &Image,
    names: &[Reference],
    omitted: BTreeSet<Digest>,
) -> Result<(), BuildError> {
    let (store, image, names) = (Arc::clone(store), image.clone(), names.to_vec());
    let (ended, outcome) = tokio::sync::oneshot::channel();
    let make = move |body: SocketBody| {
        tokio::task::spawn_blocking(move || {
            let end = body.again();
            let written = write(&image, names, &omitted, Destination::stream(body), &store);
            if let Err(error) = &written {
                end.fail(error.to_string());
            }
            // Who asked may have gone.
            drop(ended.send(written));
        });
    };
    let path = "/images/load?quiet=1";
    let answer = to.client.post(path, "application/x-tar", make, LIMIT).await;
    match answer {
        Ok(answer) => check(to, &answer),
        Err(error) => {
            // What could not be read here is the cause of what the other side did not understand.
            if let Ok(Err(error)) = outcome.await
                && !is_broken_pipe(&error)
            {
                return Err(error.into());
            }
            Err(to.fault(&error).await)
        }
    }
}

fn is_broken_pipe(error: &ExportError) -> bool {
    matches!(error, ExportError::Io { source, .. }
        if source.kind() == std::io::ErrorKind::BrokenPipe)
}

fn write(
    image: &Image,
    names: Vec<Reference>,
    omitted: &BTreeSet<Digest>,
    destination: Destination,
    store: &Store,
) -> Result<(), ExportError> {
    if !omitted.is_empty() {
        return export_partial(image, &names, omitted, &destination, store);
    }
    let exporter = DockerExporter {
        destination,
        names,
        companions: Vec::new(),
    };
    exporter
        .export(std::slice::from_ref(image), store)
        .map(drop)
}

/// An engine answers 200 before it has read anything; what went wrong is in the body.
fn check(from: &Connection, answer: &SocketAnswer) -> Result<(), BuildError> {
    let text = String::from_utf8_lossy(&answer.body);
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let fault = lines.into_iter().find_map(|line: Line| line.error);
    let reason = match (answer.status, fault) {
        (200, None) => return Ok(()),
        (_, Some(error)) => error,
        (status, None) => format!("it answered {status}: {}", said(&text)),
    };
    Err(BuildError::request(format!(
        "the engine at `{}` does not load the image: {reason}",
        from.shown()
    )))
}

/// The words of an error document, or the beginning of whatever else came.
pub(super) fn said(text: &str) -> String {
    #[derive(Deserialize)]
    struct Said {
        #[serde(alias = "cause")]
        message: String,
    }
    match serde_json::from_str::<Said>(text) {
        Ok(said) => said.message,
        Err(_) => text.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}

/// How many of the lowest layers the engine has, of which an archive may leave out the bytes. Only
/// docker's own store takes such archives.
async fn known(client: &SocketClient, image: &Image) -> Result<usize, String> {
    let version = ask(client, "/version").await?;
    let info = ask(client, "/info").await?;
    let (version, info) = (
        String::from_utf8_lossy(&version).into_owned(),
        String::from_utf8_lossy(&info).into_owned(),
    );
    if version.contains("Podman") || !version.contains("\"ApiVersion\"") {
        return Err("the engine is not docker's".to_owned());
    }
    if info.contains(CONTAINERD) || !info.contains("\"DriverStatus\"") {
        return Err("the engine's images are containerd's".to_owned());
    }
    let listed: Vec<Listed> = parsed(&ask(client, "/images/json").await?)?;
    let wanted: Vec<String> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let (mut seen, mut most) = (HashSet::new(), 0);
    for Listed { id } in listed.into_iter().take(N_IMAGES) {
        let is_id = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':');
        if most == wanted.len() || !is_id || !seen.insert(id.clone()) {
            continue;
        }
        // It may have been removed since.
        let Ok(bytes) = ask(client, &format!("/images/{id}/json")).await else {
            continue;
        };
        let inspected: Inspected = parsed(&bytes)?;
        let layers = inspected.root_fs.layers.unwrap_or_default();
        let pairs = layers.iter().zip(&wanted);
        most = most.max(pairs.take_while(|(has, wanted)| has == wanted).count());
    }
    Ok(most)
}

async fn ask(client: &SocketClient, path: &str) -> Result<Vec<u8>, String> {
    let answer = client.get(path, LIMIT).await;
    let answer = answer.map_err(|error| crate::error::words(&error))?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("{path} answers {status}")),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

impl Engine {
    /// Loads into the engines that this environment leads to; without this, at the usual places.
    #[must_use]
    pub fn with_daemons(mut self, environment: super::DaemonEnvironment) -> Self {
        self.daemons = environment;
        self
    }
}
