//! Gives caches the compressed forms that the outputs of a build consist of.

use super::forms::UsedForm;
use super::{Ending, Export};
use crate::CacheForms;
use crate::runner::StepRunner;
use acetate_cache::remote::{
    Attest, Existing, FormName, FormSource, Published, RemoteCache, RemoteForm, TarOpener,
};
use acetate_image::{FormOrigin, StoredForm};
use acetate_oci::Digest;
use acetate_store::Store;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use std::io;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// How many blobs are sent at once; each is sent in many pieces.
const N_PARALLEL: usize = 2;

/// Gives each cache what its flag wants, as long after `began` as it says.
pub(crate) async fn share(runner: &StepRunner, ending: Ending, began: Instant) {
    let used = runner.forms.used();
    if ending != Ending::Well || used.is_empty() {
        return;
    }
    let exports = runner.caches.exports.iter().enumerate();
    join_all(exports.map(|(n, export)| share_with(runner, (n, export), &used, began))).await;
}

async fn share_with(
    runner: &StepRunner,
    (n, export): (usize, &Export),
    used: &[(FormName, UsedForm)],
    began: Instant,
) {
    let Some(remote) = &export.opened.server else {
        return;
    };
    let is_wanted = |(name, form): &&(FormName, UsedForm)| {
        let came_from_there = runner
            .forms
            .taken(name)
            .is_some_and(|it| it.cache == remote.name());
        runner.publisher.has_given(n, &form.layer) && !came_from_there
    };
    let wanted: Vec<&(FormName, UsedForm)> = match export.spec.forms {
        CacheForms::None => Vec::new(),
        CacheForms::Names | CacheForms::Blobs => used.iter().filter(is_wanted).collect(),
    };
    if wanted.is_empty() {
        return;
    }
    let end = began + export.spec.wait;
    let work = send(runner, export, remote, &wanted);
    if timeout_at(end, work).await.is_err() {
        let (secs, cache) = (export.spec.wait.as_secs(), remote.name());
        tracing::warn!(
            "compressed layers were not all shared with {cache}: sending them took longer than {secs} s"
        );
    }
}

async fn send(
    runner: &StepRunner,
    export: &Export,
    remote: &RemoteCache,
    wanted: &[&(FormName, UsedForm)],
) {
    let names: Vec<FormName> = wanted.iter().map(|(name, _)| name.clone()).collect();
    let known = remote.forms(&names).await;
    let sources = wanted.iter().zip(known);
    let sources = sources.filter_map(|((name, form), known)| {
        source(runner, name, form, known.as_ref(), export.spec.forms)
    });
    let sources: Vec<FormSource> = sources.collect();
    let sends: Vec<_> = sources
        .iter()
        .map(|source| async move {
            if let Published::Skipped(skip) = remote.publish_form(source).await {
                runner
                    .publisher
                    .note_fault(export, "a compressed layer", &skip);
            }
        })
        .collect();
    stream::iter(sends)
        .buffer_unordered(N_PARALLEL)
        .collect::<()>()
        .await;
}

/// What a cache is given that knows this much of a form; nothing when it has all.
fn source(
    runner: &StepRunner,
    name: &FormName,
    form: &UsedForm,
    known: Option<&RemoteForm>,
    kind: CacheForms,
) -> Option<FormSource> {
    let gives_bytes = kind == CacheForms::Blobs;
    let existing = match known {
        None => Existing::Keep,
        Some(known) if gives_bytes && known.bytes.is_none() => Existing::Replace,
        Some(_) => return None,
    };
    let digest = form.descriptor.digest;
    Some(FormSource {
        name: name.clone(),
        descriptor: form.descriptor.clone(),
        open: gives_bytes.then(|| opener(&runner.store, digest)),
        attest: attest(runner, name, &digest),
        existing,
    })
}

/// This build vouches for what was compressed here, and for nothing else.
fn attest(runner: &StepRunner, name: &FormName, blob: &Digest) -> Attest {
    if let Some(taken) = runner.forms.taken(name) {
        return taken.attest;
    }
    match StoredForm::origin(&runner.store, blob) {
        Ok(FormOrigin::Made) => Attest::Own,
        Ok(FormOrigin::Checked | FormOrigin::Signed(_)) => Attest::No,
        Err(error) => {
            tracing::debug!(%error, "nobody vouches for a compressed layer");
            Attest::No
        }
    }
}

fn opener(store: &Arc<Store>, blob: Digest) -> TarOpener {
    let store = Arc::clone(store);
    Arc::new(move || {
        let opened = store.blobs().open_known(&blob).map_err(io::Error::other)?;
        let reader = opened.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Box::new(reader))
    })
}
