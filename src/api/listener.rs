//! Connections with two bounds: how many there are, and how long one may stand still.
//!
//! A connection on which no byte moves either way for a while is ended. That ends a client that
//! never sends its request, and a reader of the live stream that stopped reading: the stream
//! writes each second, so only a reader whose buffers are full stands still.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections open at once; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 1_024;
/// A connection stands still for at most this long; more than a request may take.
pub const STILL_MAX: Duration = Duration::from_secs(60);

/// A TCP listener with both bounds.
pub(super) struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    still_max: Duration,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener, connections_max: usize, still_max: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections_max)), still_max }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // The semaphore is never closed; if it were, connections would be accepted without a place.
        let place = self.places.clone().acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        // Small answers and events leave at once.
        let _ = stream.set_nodelay(true);
        (BoundedStream::new(stream, place, self.still_max), peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it stands still.
pub(super) struct BoundedStream {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
    still_max: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl BoundedStream {
    fn new(stream: TcpStream, place: Option<OwnedSemaphorePermit>, still_max: Duration) -> Self {
        Self { stream, _place: place, still_max, deadline: Box::pin(sleep(still_max)) }
    }

    /// Passes on what the socket said: progress moves the deadline, waiting meets it.
    fn watched<T>(&mut self, context: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + self.still_max);
            return said;
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watched(context, said)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watched(context, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_stands_still_ends_and_gives_its_place_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = BoundedListener::new(listener, 1, Duration::from_millis(100));
        let mut first = TcpStream::connect(address).await.unwrap();
        let (mut served, _) = bounded.accept().await;
        let _second = TcpStream::connect(address).await.unwrap();
        let full = tokio::time::timeout(Duration::from_millis(50), bounded.accept()).await;
        assert!(full.is_err(), "the only place is taken");

        first.write_all(b"a").await.unwrap();
        let mut byte = [0; 1];
        assert_eq!(served.read(&mut byte).await.unwrap(), 1);
        assert_eq!(served.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(served);
        let freed = tokio::time::timeout(Duration::from_secs(5), bounded.accept()).await;
        assert!(freed.is_ok());
    }

    #[tokio::test]
    async fn a_reader_that_stopped_reading_is_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = BoundedListener::new(listener, 1, Duration::from_millis(100));
        let _idle = TcpStream::connect(address).await.unwrap();
        let (mut served, _) = bounded.accept().await;
        let error = loop {
            if let Err(error) = served.write_all(&[0; 65_536]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
