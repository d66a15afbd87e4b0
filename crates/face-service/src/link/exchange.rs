//! One request to a server that a link names, and its answer within bounds.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Url;

use super::error::LinkError;
use super::host::Name;
use super::network::{Followed, Network, Target};
use super::settings::LinkSettings;
use crate::buffer::{Buffer, Overflow, no_memory};
use crate::contract::Problem;
use crate::pace::Pace;
use crate::source::too_large;

/// The largest answer header in bytes.
const MAX_HEADER: usize = 16 << 10;

/// What an answer may have beside its body: its header, and interim answers (1xx) before it.
const MOST_BESIDE: usize = 4 * MAX_HEADER;

/// Asks the server that `url` names for it.
pub(super) async fn get(
    network: &Network,
    tls: &TlsConnector,
    settings: &LinkSettings,
    url: &Url,
    target: &Target,
    followed: &Followed,
    most: usize,
) -> Result<Response<Incoming>, LinkError> {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request = Request::get(if path.is_empty() { "/" } else { path })
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("facegate/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "image/*")
        .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .body(Empty::<Bytes>::new())
        .map_err(|_| LinkError::Malformed("it is no valid URL"))?;
    let limit = Duration::from_millis(settings.connect_timeout_ms);
    // What is waited for here is no fault of the server, whose time has not begun.
    let place = network.place(target, followed, limit).await?;
    let connecting = async {
        let stream = network.connect(settings, target, place).await?;
        if !target.encrypted {
            return Ok(Connection::Plain(stream));
        }
        let name = match &target.host {
            Name::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| LinkError::Tls)?,
            Name::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let stream = tls.connect(name, stream).await.map_err(|_| LinkError::Tls)?;
        Ok(Connection::Encrypted(Box::new(stream)))
    };
    let late = |_| LinkError::Timeout(settings.connect_timeout_ms);
    match tokio::time::timeout(limit, connecting).await.map_err(late)?? {
        Connection::Plain(stream) => exchange(stream, request, most).await,
        Connection::Encrypted(stream) => exchange(stream, request, most).await,
    }
}

enum Connection {
    Plain(tokio::net::TcpStream),
    Encrypted(Box<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>),
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>, most: usize) -> Result<Response<Incoming>, LinkError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |_| LinkError::Answer("it is no HTTP/1.1");
    let left = Arc::new(AtomicUsize::new(MOST_BESIDE));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEADER)
        .handshake(TokioIo::new(Metered { stream, left: Arc::clone(&left) }))
        .await
        .map_err(broken)?;
    // The task ends with the response body: dropping that closes the connection.
    tokio::spawn(async move { connection.await.map_err(io::Error::other) });
    let response = sender.send_request(request).await.map_err(broken)?;
    // What chunks cost beside what they carry may be a quarter of it: servers send chunks of kilobytes, not of bytes.
    left.fetch_add(most.saturating_add(most / 4), Ordering::Relaxed);
    Ok(response)
}

/// A stream of which no more than a number of bytes is read: interim answers and the framing of chunks are no part of the
/// body that is counted later, and could go on for ever.
struct Metered<S> {
    stream: S,
    left: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        let enough = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(read));
        if enough.is_err() {
            return Poll::Ready(Err(io::Error::other("more framing than answer")));
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Where a response redirects to, if it does.
pub(super) fn redirect(url: &Url, response: &Response<Incoming>, max: usize) -> Result<Option<Url>, LinkError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let unusable = || LinkError::Answer("it redirects to nowhere");
    let location = response.headers().get(header::LOCATION).ok_or_else(unusable)?.as_bytes();
    if location.len() > max {
        return Err(unusable());
    }
    url.join(&as_browsers_read(location)).map(Some).map_err(|_| unusable())
}

/// A `Location` beyond ASCII: as UTF-8, which the URL parser encodes, or where it is none, byte by byte.
fn as_browsers_read(location: &[u8]) -> String {
    match std::str::from_utf8(location) {
        Ok(text) => text.to_owned(),
        Err(_) => location
            .iter()
            .map(|byte| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
            .collect(),
    }
}

/// Reads a body, counting what arrives whatever the server announced.
pub(super) async fn read(
    response: Response<Incoming>,
    mut buffer: Buffer,
    settings: &LinkSettings,
) -> Result<Buffer, Problem> {
    for (name, plain) in [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")] {
        let mut codings = response.headers().get_all(name).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(plain.as_bytes())) {
            return Err(LinkError::Answer("it is compressed although that was not asked for").into());
        }
    }
    let most = buffer.most();
    let mut body = response.into_body();
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    // The time of the whole is that of the link, which began earlier.
    let whole = Duration::from_millis(settings.timeout_ms);
    let mut pace = Pace::new(settings.min_rate, whole, Instant::now());
    loop {
        let frame = tokio::time::timeout_at(pace.until(), body.frame()).await;
        let Some(frame) = frame.map_err(|_| LinkError::Slow(settings.min_rate))? else { return Ok(buffer) };
        let frame = frame.map_err(|_| LinkError::Answer("it ended before its announced length"))?;
        let Some(piece) = frame.data_ref() else { continue };
        buffer.push(piece).map_err(|overflow| match overflow {
            Overflow::TooLarge => too_large(most),
            Overflow::NoMemory(no_more) => no_memory(no_more),
        })?;
        pace.note(piece.len(), Instant::now());
    }
}
