//! The listener: connections in, bounded in number and time, each served until it ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::caller::Caller;
use super::settings::ServerSettings;
use super::tls::Tls;

/// The largest header section of a request in bytes; hyper answers 431 beyond it.
const MAX_HEADERS: usize = 32 << 10;

/// How long requests on open connections may still arrive when the service stops.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// Open at the same time; more wait in the listener's backlog.
    pub max: usize,
    /// In which the header of a request must arrive; also the time that a connection may be idle.
    pub header_timeout: Duration,
    /// In which an answer must be taken.
    pub answer_timeout: Duration,
    /// In which requests may finish after `stop`.
    pub shutdown_timeout: Duration,
}

impl Connections {
    /// As the settings say.
    pub fn of(settings: &ServerSettings) -> Self {
        Self {
            max: settings.max_connections,
            header_timeout: Duration::from_millis(settings.header_timeout_ms),
            answer_timeout: Duration::from_millis(settings.answer_timeout_ms),
            shutdown_timeout: Duration::from_secs(settings.shutdown_timeout_s),
        }
    }
}

/// Serves until `stop` resolves, then lets the requests that have begun finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    connections: Connections,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let open = Arc::new(Semaphore::new(connections.max));
    let begin = |place: OwnedSemaphorePermit, stream: TcpStream, peer: SocketAddr| {
        // Answers are one write each; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => answer(stream, peer, router, connections, watcher).await,
                Some(tls) => {
                    match tokio::time::timeout(connections.header_timeout, tls.acceptor().accept(stream)).await {
                        Ok(Ok(stream)) => answer(stream, peer, router, connections, watcher).await,
                        _ => tracing::debug!("a connection ended before it was encrypted"),
                    }
                }
            }
        });
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&open).acquire_owned() => place.map_err(io::Error::other)?,
            () = &mut stop => break,
        };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => begin(place, stream, peer),
                Err(error) => {
                    // Out of descriptors, or the caller is already gone: neither is a reason to stop serving.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut stop => break,
        }
    }
    // Who has connected and waits in the listener's backlog is a caller too, and a request on its way is begun.
    while let Ok(place) = Arc::clone(&open).try_acquire_owned()
        && let Ok(Ok((stream, peer))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await
    {
        begin(place, stream, peer);
    }
    drop(listener);
    tokio::time::sleep(LAST_REQUESTS).await;
    if tokio::time::timeout(connections.shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish within the shutdown timeout");
    }
    Ok(())
}

/// Answers the requests of one connection, one after the other.
async fn answer<S>(stream: S, peer: SocketAddr, router: Router, connections: Connections, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request.map(axum::body::Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(connections.header_timeout)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(Caller::new(stream, connections.answer_timeout)), service);
    // A connection ends with an error when its caller vanishes or sends what is no HTTP.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
