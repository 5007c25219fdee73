//! The async runtime, and what an interrupt does to a build.

use acetate_engine::CancellationToken;
use anyhow::{Context, Result};
use std::future::Future;

/// Costs nothing until it is used.
const STACK: usize = 16 << 20;

/// Runs async work to its end; an interrupt or a request to terminate cancels it.
pub(crate) fn block_on<T>(work: impl FnOnce(CancellationToken) -> T) -> Result<T::Output>
where
    T: Future,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Trees are read by recursion, and a path can have 2000 parts.
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let cancel = CancellationToken::new();
    let watch = cancel.clone();
    let output = runtime.block_on(async {
        let signals = tokio::spawn(async move {
            interrupted().await;
            watch.cancel();
        });
        let output = work(cancel).await;
        signals.abort();
        output
    });
    // Work that nobody waits for any more, such as a file being hashed, must not delay the end.
    runtime.shutdown_background();
    Ok(output)
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
