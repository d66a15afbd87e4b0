//! The listener: connections in, bounded in number and time, each served until it ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use super::caller::Caller;
use super::delivery::Delivery;
use super::doors::{Closed, Door, Doors};
use super::proxies::Network;
use super::settings::{ServerSettings, ServiceSettings};
use super::shares::share_of;
use super::standing::Standing;
use super::tls::Tls;

/// The largest header section of a request in bytes; 431 beyond it. hyper may hold a little more before it notices.
const MAX_HEADERS: usize = 32 << 10;

/// How long requests on open connections may still arrive when the service stops.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// How long the listener still accepts when the service stops: the system may have connected callers whom the runtime
/// has not noticed.
const LAST_CALLERS: Duration = Duration::from_millis(10);

/// How many it still accepts, however fast others come: as many as may wait in the listener's backlog.
const MOST_CALLERS: usize = 1_024;

/// The least time between two warnings of one kind.
const QUIET: Duration = Duration::from_secs(1);

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Open at the same time. The one that is idle longest ends for one more; when none is, more wait in the listener's
    /// backlog.
    pub max: usize,
    /// Of these, of one address.
    pub share: usize,
    /// Whose connections are those of many: no share binds them.
    pub proxies: Vec<Network>,
    /// In which the header of a request must arrive; also the time that a connection may be idle.
    pub header_timeout: Duration,
    /// In which an answer must be taken.
    pub answer_timeout: Duration,
    /// In which requests may finish after `stop`.
    pub shutdown_timeout: Duration,
}

impl Connections {
    /// As the settings say.
    pub fn of(settings: &ServiceSettings) -> Self {
        let server: &ServerSettings = &settings.server;
        Self {
            max: server.max_connections,
            share: share_of(server.max_connections, settings.shares.connections),
            proxies: server.trusted_proxies.clone(),
            header_timeout: Duration::from_millis(server.header_timeout_ms),
            answer_timeout: Duration::from_millis(server.answer_timeout_ms),
            shutdown_timeout: Duration::from_secs(server.shutdown_timeout_s),
        }
    }
}

/// Times of one connection.
#[derive(Debug, Clone, Copy)]
struct Times {
    header: Duration,
    answer: Duration,
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
    let doors = Doors::new(connections.max, connections.share, connections.proxies);
    let times = Times { header: connections.header_timeout, answer: connections.answer_timeout };
    let begin = |door: Door, stream: TcpStream, peer: SocketAddr| {
        // A write is a whole answer or a large part of one; waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let standing = Arc::clone(&door.standing);
            let served = async {
                match tls {
                    None => answer(stream, peer, router, times, watcher, &standing).await,
                    Some(tls) => match tokio::time::timeout(times.header, tls.acceptor().accept(stream)).await {
                        Ok(Ok(stream)) => answer(stream, peer, router, times, watcher, &standing).await,
                        _ => tracing::debug!("a connection ended before it was encrypted"),
                    },
                }
            };
            // The end first: what comes after it is not begun.
            tokio::select! {
                biased;
                () = standing.ended() => tracing::debug!("an idle connection was ended"),
                () = served => {}
            }
            drop(door);
        });
    };
    let mut stop = std::pin::pin!(stop);
    let (mut no_accept, mut no_share) = (Warning::default(), Warning::default());
    'listening: loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the caller is already gone: neither is a reason to stop serving.
                    no_accept.say(|| tracing::warn!(%error, "a connection could not be accepted"));
                    doors.make_room();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        loop {
            match doors.open(peer.ip()) {
                Ok(door) => {
                    begin(door, stream, peer);
                    break;
                }
                Err(Closed::Share) => {
                    no_share.say(|| {
                        tracing::warn!(
                            address = %peer.ip().to_canonical(),
                            "an address has its share of the connections, all of them busy: a further one is closed (is it \
                             a proxy that server.trusted_proxies does not name?)"
                        );
                    });
                    break;
                }
                Err(Closed::Full) => tokio::select! {
                    () = doors.freed() => {}
                    // One may have become idle without an end.
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                    () = &mut stop => break 'listening,
                },
            }
        }
    }
    // Who has connected and waits in the listener's backlog is a caller too, and a request on its way is begun.
    let until = tokio::time::Instant::now() + LAST_CALLERS;
    for _ in 0..MOST_CALLERS {
        // Who waits already is accepted also after that moment.
        let Ok(accepted) = tokio::time::timeout_at(until, listener.accept()).await else { break };
        // Who is gone, or has no room, keeps those behind him from nothing.
        if let Ok((stream, peer)) = accepted
            && let Ok(door) = doors.open(peer.ip())
        {
            begin(door, stream, peer);
        }
    }
    drop(listener);
    tokio::time::sleep(LAST_REQUESTS).await;
    let mut ended = std::pin::pin!(graceful.shutdown());
    if tokio::time::timeout(LAST_REQUESTS, &mut ended).await.is_ok() {
        return Ok(());
    }
    // hyper has ended those between two requests; a handshake or half a header is waited for no longer.
    doors.end_unused();
    if tokio::time::timeout(connections.shutdown_timeout, ended).await.is_err() {
        tracing::warn!("some requests did not finish within the shutdown timeout");
    }
    Ok(())
}

/// A warning that strangers can cause: said at most once in a while.
#[derive(Debug, Default)]
struct Warning(Option<Instant>);

impl Warning {
    fn say(&mut self, warn: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() >= QUIET) {
            self.0 = Some(Instant::now());
            warn();
        }
    }
}

/// Bytes of the request's line and fields, as they came.
fn header_length<B>(request: &hyper::Request<B>) -> usize {
    let line = request.method().as_str().len() + request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    // A colon, a space and the end of the line.
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + " HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>()
}

/// As hyper says it, so that it becomes the same answer of ours (see `caller.rs`).
fn too_long() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Answers the requests of one connection, one after the other.
async fn answer<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    times: Times,
    watcher: Watcher,
    standing: &Arc<Standing>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let standing = Arc::clone(standing);
        hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(Arc::clone(&standing));
            standing.asked();
            let fits = header_length(&request) <= MAX_HEADERS;
            let (standing, answered) = (Arc::clone(&standing), router.clone().call(request.map(Body::new)));
            async move {
                let answer = if fits { answered.await } else { Ok(too_long()) };
                answer.map(|answer| answer.map(|body| Delivery::new(body, standing)))
            }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.header)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(Caller::new(stream, times.answer, Arc::clone(standing))), service);
    // A connection ends with an error when its caller vanishes or sends what is no HTTP.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_cause_is_said_once_in_a_while() {
        let (mut warning, mut said) = (Warning::default(), 0);
        for _ in 0..1_000 {
            warning.say(|| said += 1);
        }
        assert_eq!(said, 1);
        warning.0 = Instant::now().checked_sub(QUIET);
        warning.say(|| said += 1);
        assert_eq!(said, 2);
    }
}
