use crate::{App, gc, http};
use futures_util::future::Either;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// A request whose head takes longer to arrive is dropped.
const HEAD: Duration = Duration::from_secs(10);
/// What is being answered when the server is told to end gets so long.
const GRACE: Duration = Duration::from_secs(20);
/// How often room is looked for and uses are written down.
const COLLECT: Duration = Duration::from_secs(5);

/// Answers until `end` is ready, and then ends what is being answered.
pub async fn serve(app: Arc<App>, listener: TcpListener, end: impl Future<Output = ()>) {
    let router = http::router(Arc::clone(&app));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new());
    let graceful = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(gc::run(Arc::clone(&app.disk), app.config.marks, COLLECT));
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = std::pin::pin!(listener.accept());
        let stream = match futures_util::future::select(accepted, &mut end).await {
            Either::Right(_) => break,
            Either::Left((Ok((stream, _)), _)) => stream,
            Either::Left((Err(error), _)) => {
                // Out of descriptors, most likely: those that are open will be closed.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _no_delay = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were cut at the end");
    }
    if let Err(error) = app.disk.flush() {
        tracing::warn!(%error, "uses were not written down");
    }
}
