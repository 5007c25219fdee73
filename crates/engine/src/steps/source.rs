//! Files and repositories that were found out about and are wanted now.

use super::StepError;
use crate::context::{Fetched, RemoteOrigin};
use crate::output::Files;
use crate::runner::StepRunner;
use acetate_graph::{DownloadSource, SourceOp, Vertex};
use acetate_remote::{HttpRequest, RemoteError, Remotes};
use acetate_scheduler::JobCtx;
use acetate_snapshot::{Snapshot, Snapshots};

/// Makes the snapshot of a download or of a commit.
pub(crate) async fn run(
    runner: &StepRunner,
    vertex: &Vertex,
    ctx: &JobCtx,
) -> Result<Files, StepError> {
    let place = vertex.meta.location.map(|location| location.0 as usize);
    let need = place.and_then(|n| runner.remotes.get(n));
    let fetched = need.and_then(|need| runner.pinned.remotes.get(need));
    let fetched = fetched.ok_or_else(|| StepError::internal("a source without a pin"))?;
    // What is dropped here kills its processes.
    let snapshot = tokio::select! {
        made = make(&runner.contexts.remotes, &runner.snapshots, fetched) => made?,
        () = ctx.cancel.cancelled() => return Err(StepError::Cancelled),
    };
    Ok(Files::default().with(snapshot, runner.now))
}

async fn make(
    remotes: &Remotes,
    snapshots: &Snapshots,
    fetched: &Fetched,
) -> Result<Snapshot, StepError> {
    match (&fetched.pin.source, &fetched.origin) {
        (SourceOp::Git(_), RemoteOrigin::Git(checkout)) => {
            Ok(remotes.checkout(snapshots, checkout).await?)
        }
        (SourceOp::Download(source), RemoteOrigin::Download { url, .. }) => {
            let made = file(remotes, snapshots, source).await;
            let (Err(RemoteError::Lost(_)), Some(url)) = (&made, url) else {
                return Ok(made?);
            };
            tracing::warn!(content = %source.content, "a download is damaged and fetched again");
            let request = HttpRequest {
                checksum: Some(source.content),
                ..HttpRequest::new(url)
            };
            remotes.download(&request).await?;
            Ok(file(remotes, snapshots, source).await?)
        }
        _ => Err(StepError::internal("a source of another kind")),
    }
}

async fn file(
    remotes: &Remotes,
    snapshots: &Snapshots,
    source: &DownloadSource,
) -> Result<Snapshot, RemoteError> {
    let (remotes, snapshots, source) = (remotes.clone(), snapshots.clone(), source.clone());
    let DownloadSource {
        content,
        name,
        mtime,
    } = source;
    acetate_stdx::blocking(move || remotes.file(&snapshots, &content, &name, mtime)).await
}
