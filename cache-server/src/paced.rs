//! Connections whose clients do nothing, or do not read.

use crate::Limits;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream that fails when nothing moves on it, or when it takes too little for too long. What it
/// gives is paced where it is known whether anything is expected.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    inner: S,
    limits: Limits,
    /// Runs from the first write that had to wait.
    window: Pin<Box<Sleep>>,
    is_open: bool,
    written: u64,
    /// When a byte moved last, and when to look at that again.
    moved: Instant,
    watch: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, limits: Limits) -> Self {
        Self {
            inner,
            limits,
            window: Box::pin(tokio::time::sleep(limits.silence)),
            is_open: false,
            written: 0,
            moved: Instant::now(),
            watch: Box::pin(tokio::time::sleep(limits.unmoved())),
        }
    }

    /// Looks at one read: bytes are a sign of life, and a wait may have been too long.
    fn listen(&mut self, cx: &mut Context<'_>, read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if read.is_ready() {
            self.moved = Instant::now();
            return read;
        }
        while self.watch.as_mut().poll(cx).is_ready() {
            let end = self.moved + self.limits.unmoved();
            if end <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.watch.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// Looks at one write: what was taken counts, and a wait may have been too long.
    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(done) = wrote {
            self.moved = Instant::now();
            self.written += *done.as_ref().unwrap_or(&0) as u64;
            if self.written >= self.limits.due(self.limits.silence) {
                self.is_open = false;
            }
            return Poll::Ready(done);
        }
        if !self.is_open {
            self.is_open = true;
            self.written = 0;
            let end = Instant::now() + self.limits.silence;
            self.window.as_mut().reset(end);
        }
        match self.window.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.listen(cx, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.judge(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        // All was taken: the next wait begins anew.
        if flushed.is_ready() {
            self.is_open = false;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
