use crate::auth::Grant;
use crate::paced::Paced;
use crate::tls::Tls;
use crate::{App, gc, http, logs, verify};
use futures_util::future::Either;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What is being answered when the server is told to end gets so long.
const GRACE: Duration = Duration::from_secs(20);
/// How often room is looked for and uses are written down.
const COLLECT: Duration = Duration::from_secs(5);
/// The bytes that a connection holds unsent or unread, besides one piece of a body.
const BUFFER: usize = 64 << 10;
/// Requests of one connection that are answered at the same time.
const STREAMS: u32 = 128;

/// Answers until `end` is ready, and then ends what is being answered.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<Tls>,
    end: impl Future<Output = ()>,
) {
    let builder = builder(&app);
    let graceful = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(gc::run(Arc::clone(&app.disk), app.config.marks, COLLECT));
    let own = Arc::clone(&app);
    tasks.spawn(async move { own.gate.keep_fresh().await });
    tasks.spawn(logs::run(Arc::clone(&app)));
    tasks.spawn(verify::run(Arc::clone(&app)));
    let telling = Arc::clone(&app);
    tasks.spawn(async move { crate::upstream::run(&telling.storage).await });
    let room = Arc::new(Semaphore::new(app.config.limits.connections));
    let mut end = std::pin::pin!(end);
    loop {
        let next = std::pin::pin!(async {
            // Those that there is no room for wait in the kernel.
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        });
        let (place, stream) = match futures_util::future::select(next, &mut end).await {
            Either::Right(_) => break,
            Either::Left(((place, Ok((stream, _))), _)) => (place, stream),
            Either::Left(((_, Err(error)), _)) => {
                // Out of descriptors, most likely: those that are open will be closed.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (app, tls) = (Arc::clone(&app), tls.clone());
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        tasks.spawn(async move {
            if let Err(error) = connection(app, stream, tls, builder, watcher).await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    app.logs.close();
    app.verify.stop();
    let ended = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    let written = if ended.is_ok() {
        app.disk.close()
    } else {
        tracing::warn!("connections were cut at the end");
        app.disk.flush()
    };
    if let Err(error) = written {
        tracing::warn!(%error, "uses were not written down");
    }
}

fn builder(app: &App) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_buf_size(BUFFER)
        .header_read_timeout(app.config.limits.idle);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(app.config.limits.idle)
        .keep_alive_timeout(app.config.limits.silence)
        .max_send_buf_size(BUFFER);
    builder
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    app: Arc<App>,
    stream: TcpStream,
    tls: Option<Tls>,
    builder: Builder<TokioExecutor>,
    watcher: Watcher,
) -> Result<(), Failed> {
    stream.set_nodelay(true)?;
    let limits = app.config.limits;
    let stream = Paced::new(stream, limits);
    match tls {
        // Without TLS nobody has said which version it will be; browsers and caches speak this one.
        None => answer(app, stream, builder.http1_only(), watcher, None).await,
        Some(tls) => {
            let stream = tokio::time::timeout(limits.silence, tls.accept(stream)).await??;
            let is_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let builder = if is_2 {
                builder.http2_only()
            } else {
                builder.http1_only()
            };
            let peer = app.gate.peer(stream.get_ref().1.peer_certificates());
            answer(app, stream, builder, watcher, peer).await
        }
    }
}

async fn answer(
    app: Arc<App>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    builder: Builder<TokioExecutor>,
    watcher: Watcher,
    peer: Option<Arc<Grant>>,
) -> Result<(), Failed> {
    let service = service_fn(move |request| {
        let (app, peer) = (Arc::clone(&app), peer.clone());
        async move { Ok::<_, Infallible>(http::answer(app, request, peer).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection).await
}
