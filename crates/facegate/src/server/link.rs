//! Pictures behind links that strangers send.
//!
//! The connection is ours from the name to the socket: a name is resolved here, addresses that are not public are
//! dropped, and the socket is opened to one of the addresses that were checked. Nothing resolves the name a second
//! time, so that a name that changes its answer (DNS rebinding) gains nothing. Every redirect goes the same way.

pub mod address;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::contract::Problem;
use super::source::too_large;

/// What links may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Whether links are taken at all.
    pub enabled: bool,
    /// Let links reach private addresses: for tests and for networks where every caller is trusted.
    pub allow_private: bool,
    /// The ports that links may name.
    pub ports: Vec<u16>,
    /// The only hosts that links may name, with their subdomains; empty for any.
    pub allow_hosts: Vec<String>,
    /// Hosts that links may not name, with their subdomains.
    pub deny_hosts: Vec<String>,
    /// Redirects that are followed.
    pub max_redirects: usize,
    /// Milliseconds for one connection, encryption included.
    pub connect_timeout_ms: u64,
    /// Milliseconds for everything, names and redirects included.
    pub timeout_ms: u64,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_private: false,
            ports: vec![80, 443],
            allow_hosts: Vec::new(),
            deny_hosts: Vec::new(),
            max_redirects: 3,
            connect_timeout_ms: 3_000,
            timeout_ms: 10_000,
        }
    }
}

/// The longest link in bytes.
const MAX_LINK: usize = 2_048;

/// The largest answer header in bytes.
const MAX_HEADER: usize = 16 << 10;

/// Why a link gave no picture. No message quotes the link: links carry secrets, and logs are read by many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Links are switched off.
    #[error("links are switched off here: send the picture as Base64")]
    Disabled,
    /// No link that can be read.
    #[error("the link in faceImageBase cannot be read: {0}")]
    Malformed(&'static str),
    /// A link that may not be followed.
    #[error("the link in faceImageBase is refused: {0}")]
    Refused(&'static str),
    /// No server answered; also said of names whose servers may not be reached, so that nobody learns which exist.
    #[error("the server of the link in faceImageBase cannot be reached: check that it is public and up")]
    Unreachable,
    /// The certificate or the handshake was wrong.
    #[error("the server of the link in faceImageBase does not speak TLS with a valid certificate")]
    Tls,
    /// It took too long.
    #[error("the picture behind the link in faceImageBase did not arrive within {0} ms")]
    Timeout(u64),
    /// Another status than 200.
    #[error("the server of the link in faceImageBase answered {0} instead of 200")]
    Status(u16),
    /// More redirects than are followed.
    #[error("the link in faceImageBase redirects more than {0} times")]
    Redirects(usize),
    /// What came is no HTTP, ended early or is compressed.
    #[error("the answer to the link in faceImageBase cannot be used: {0}")]
    Answer(&'static str),
}

impl LinkError {
    /// A stable reason in snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "link_disabled",
            Self::Malformed(_) => "link_malformed",
            Self::Refused(_) => "link_refused",
            Self::Unreachable => "link_unreachable",
            Self::Tls => "link_tls_failed",
            Self::Timeout(_) => "link_timeout",
            Self::Status(_) => "link_status",
            Self::Redirects(_) => "link_too_many_redirects",
            Self::Answer(_) => "link_answer_unusable",
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string())
    }
}

/// Fetches pictures.
#[derive(Clone)]
pub struct LinkFetcher {
    settings: LinkSettings,
    tls: TlsConnector,
    network: Network,
}

/// Which addresses are public, and what names stand for. Tests bring a network of their own.
#[derive(Clone)]
struct Network {
    is_public: fn(IpAddr) -> bool,
    /// The answers to the next lookups instead of the system's.
    #[cfg(test)]
    answers: Option<Arc<std::sync::Mutex<std::collections::VecDeque<Vec<IpAddr>>>>>,
}

impl Network {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(answers) = &self.answers {
            let next = answers.lock().map_err(|_| io::Error::other("a test failed"))?.pop_front();
            let addresses = next.ok_or_else(|| io::Error::other("no such name"))?;
            return Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }
}

impl std::fmt::Debug for LinkFetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkFetcher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl LinkFetcher {
    /// A fetcher that trusts the certificate authorities that Mozilla trusts.
    pub fn new(settings: LinkSettings) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
            .map(|config| TlsConnector::from(Arc::new(config)));
        #[expect(clippy::expect_used, reason = "the ring provider supports the default protocol versions")]
        let tls = tls.expect("default protocol versions");
        let network = Network {
            is_public: address::is_public,
            #[cfg(test)]
            answers: None,
        };
        Self { settings, tls, network }
    }

    /// The bytes behind a link, at most `max_bytes`.
    pub async fn fetch(&self, link: &str, max_bytes: usize) -> Result<Vec<u8>, Problem> {
        let timeout = Duration::from_millis(self.settings.timeout_ms);
        tokio::time::timeout(timeout, self.follow(link, max_bytes))
            .await
            .unwrap_or(Err(LinkError::Timeout(self.settings.timeout_ms).into()))
    }

    async fn follow(&self, link: &str, max_bytes: usize) -> Result<Vec<u8>, Problem> {
        if !self.settings.enabled {
            return Err(LinkError::Disabled.into());
        }
        if link.len() > MAX_LINK {
            return Err(LinkError::Malformed("it is longer than 2048 bytes").into());
        }
        let mut url = Url::parse(link).map_err(|_| LinkError::Malformed("it is no valid URL"))?;
        for _ in 0..=self.settings.max_redirects {
            let target = self.check(&url)?;
            let response = self.get(&url, &target).await?;
            if let Some(next) = redirect(&url, &response)? {
                if url.scheme() == "https" && next.scheme() == "http" {
                    return Err(LinkError::Refused("it redirects from https to http").into());
                }
                url = next;
                continue;
            }
            if response.status() != StatusCode::OK {
                return Err(LinkError::Status(response.status().as_u16()).into());
            }
            return read(response, max_bytes).await;
        }
        Err(LinkError::Redirects(self.settings.max_redirects).into())
    }

    /// Everything that can be judged without the network.
    fn check(&self, url: &Url) -> Result<Target, LinkError> {
        let refused = |why| Err(LinkError::Refused(why));
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return refused("only http and https are followed"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("it carries credentials");
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !self.settings.ports.contains(&port) {
            return refused("its port is not allowed");
        }
        // The URL parser has turned decimal, octal, hexadecimal and short spellings into addresses already.
        let host = match url.host() {
            Some(Host::Domain(name)) => Name::Domain(name.trim_end_matches('.').to_ascii_lowercase()),
            Some(Host::Ipv4(v4)) => Name::Address(v4.into()),
            Some(Host::Ipv6(v6)) => Name::Address(v6.into()),
            None => return Err(LinkError::Malformed("it names no host")),
        };
        let text = match &host {
            Name::Domain(name) => name.clone(),
            Name::Address(address) => address.to_string(),
        };
        let private = match &host {
            Name::Address(address) => !(self.network.is_public)(*address),
            // RFC 6761: never anybody else's.
            Name::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        };
        if private && !self.settings.allow_private {
            return refused("it names an address that is not public");
        }
        let listed = |list: &[String]| list.iter().any(|entry| covers(entry, &text));
        if listed(&self.settings.deny_hosts) {
            return refused("its host is not allowed");
        }
        if !self.settings.allow_hosts.is_empty() && !listed(&self.settings.allow_hosts) {
            return refused("its host is not allowed");
        }
        Ok(Target { host, port, encrypted })
    }

    /// Opens a connection to an address that was checked.
    async fn connect(&self, target: &Target) -> Result<TcpStream, LinkError> {
        let resolved: Vec<SocketAddr> = match &target.host {
            Name::Address(address) => vec![SocketAddr::new(*address, target.port)],
            Name::Domain(name) => self.network.resolve(name, target.port).await.map_err(|_| LinkError::Unreachable)?,
        };
        let may = |address: &SocketAddr| self.settings.allow_private || (self.network.is_public)(address.ip());
        for address in resolved.iter().filter(|a| may(a)).take(4) {
            if let Ok(stream) = TcpStream::connect(address).await {
                // The peer is the address just checked; said again because everything hangs on it.
                if stream.peer_addr().is_ok_and(|peer| may(&peer)) {
                    return Ok(stream);
                }
            }
        }
        Err(LinkError::Unreachable)
    }

    async fn get(&self, url: &Url, target: &Target) -> Result<Response<Incoming>, LinkError> {
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let request = Request::get(if path.is_empty() { "/" } else { path })
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("facegate/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "image/*")
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .body(Empty::<Bytes>::new())
            .map_err(|_| LinkError::Malformed("it is no valid URL"))?;
        let limit = Duration::from_millis(self.settings.connect_timeout_ms);
        let timeout = || LinkError::Timeout(self.settings.connect_timeout_ms);
        let connecting = async {
            let stream = self.connect(target).await?;
            if !target.encrypted {
                return Ok(Connection::Plain(stream));
            }
            let name = match &target.host {
                Name::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| LinkError::Tls)?,
                Name::Address(address) => ServerName::IpAddress((*address).into()),
            };
            let stream = self.tls.connect(name, stream).await.map_err(|_| LinkError::Tls)?;
            Ok(Connection::Encrypted(Box::new(stream)))
        };
        match tokio::time::timeout(limit, connecting).await.map_err(|_| timeout())?? {
            Connection::Plain(stream) => exchange(stream, request).await,
            Connection::Encrypted(stream) => exchange(stream, request).await,
        }
    }
}

enum Name {
    Domain(String),
    Address(IpAddr),
}

struct Target {
    host: Name,
    port: u16,
    encrypted: bool,
}

enum Connection {
    Plain(TcpStream),
    Encrypted(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Whether a list's entry names a host or a domain above it.
fn covers(entry: &str, host: &str) -> bool {
    let entry = entry.trim_matches('.').to_ascii_lowercase();
    host == entry || host.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.'))
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, LinkError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |_| LinkError::Answer("it is no HTTP/1.1");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEADER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // The task ends with the response body: dropping that closes the connection.
    tokio::spawn(async move { connection.await.map_err(io::Error::other) });
    sender.send_request(request).await.map_err(broken)
}

/// Where a response redirects to, if it does.
fn redirect(url: &Url, response: &Response<Incoming>) -> Result<Option<Url>, LinkError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let unusable = || LinkError::Answer("it redirects to nowhere");
    let location = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok()).ok_or_else(unusable)?;
    if location.len() > MAX_LINK {
        return Err(unusable());
    }
    url.join(location).map(Some).map_err(|_| unusable())
}

/// Reads a body, counting what arrives whatever the server announced.
async fn read(response: Response<Incoming>, max_bytes: usize) -> Result<Vec<u8>, Problem> {
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(LinkError::Answer("it is compressed although that was not asked for").into());
    }
    let mut body = response.into_body();
    let announced = body.size_hint().lower();
    if announced > max_bytes as u64 {
        return Err(too_large(max_bytes));
    }
    let mut bytes = Vec::with_capacity(announced as usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| LinkError::Answer("it ended before its announced length"))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > max_bytes {
                return Err(too_large(max_bytes));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(change: impl FnOnce(&mut LinkSettings)) -> LinkFetcher {
        let mut settings = LinkSettings::default();
        change(&mut settings);
        LinkFetcher::new(settings)
    }

    async fn code(fetcher: &LinkFetcher, link: &str) -> &'static str {
        fetcher.fetch(link, 1000).await.expect_err(link).code
    }

    #[tokio::test]
    async fn refuses_loopback_and_private_hosts_in_every_spelling() {
        let fetcher = fetcher(|_| ());
        for host in [
            "127.0.0.1",
            "localhost",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "169.254.169.254",
            "10.0.0.1",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "[fd00::1]",
            "[fe80::1]",
            "224.0.0.1",
            "localhost.",
        ] {
            assert_eq!(code(&fetcher, &format!("http://{host}/a.jpg")).await, "link_refused", "{host}");
        }
    }

    #[tokio::test]
    async fn refuses_what_can_be_judged_without_the_network() {
        let open = fetcher(|_| ());
        assert_eq!(code(&open, "http://user:secret@example.com/").await, "link_refused");
        assert_eq!(code(&open, "http://user@example.com/").await, "link_refused");
        assert_eq!(code(&open, "http://example.com:22/").await, "link_refused");
        assert_eq!(code(&open, "http://").await, "link_malformed");
        assert_eq!(code(&open, "http://exa mple.com/").await, "link_malformed");
        assert_eq!(code(&open, &format!("http://example.com/{}", "a".repeat(3000))).await, "link_malformed");
        assert_eq!(code(&fetcher(|s| s.enabled = false), "http://example.com/").await, "link_disabled");
        let denying = fetcher(|s| s.deny_hosts = vec!["Example.com".into()]);
        for link in ["http://example.com/", "http://a.EXAMPLE.com./"] {
            assert_eq!(code(&denying, link).await, "link_refused");
        }
        let allowing = fetcher(|s| s.allow_hosts = vec!["example.com".into()]);
        assert_eq!(code(&allowing, "http://notexample.com/").await, "link_refused");
    }

    #[test]
    fn no_message_quotes_the_link() {
        let problem: Problem = LinkError::Refused("its port is not allowed").into();
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!problem.message.contains("http"));
    }

    /// In these tests 127.0.0.2 plays a public server and 127.0.0.1 a private one.
    fn pretended(answers: &[&[&str]], change: impl FnOnce(&mut LinkSettings)) -> LinkFetcher {
        let mut fetcher = fetcher(|settings| {
            settings.ports = (1..=u16::MAX).collect();
            settings.connect_timeout_ms = 500;
            settings.timeout_ms = 1_500;
            change(settings);
        });
        let address = |text: &&str| text.parse().expect("an address");
        let answers = answers.iter().map(|list| list.iter().map(address).collect()).collect();
        fetcher.network = Network {
            is_public: |address| address == IpAddr::from([127, 0, 0, 2]),
            answers: Some(Arc::new(std::sync::Mutex::new(answers))),
        };
        fetcher
    }

    /// Serves each of `answers` to one connection after the other, and counts the connections.
    fn server(ip: &str, answers: Vec<Vec<u8>>) -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind((ip, 0)).expect("a loopback address");
        let port = listener.local_addr().expect("bound").port();
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
                if answer.is_empty() {
                    // Silence: the connection stays open and nothing comes.
                    std::thread::sleep(Duration::from_secs(5));
                }
            }
        });
        (port, count)
    }

    fn found(body: &[u8]) -> Vec<u8> {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend(body);
        answer
    }

    fn moved(to: &str) -> Vec<u8> {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    }

    #[tokio::test]
    async fn fetches_what_a_public_server_has_also_after_redirects() {
        let (port, _) = server("127.0.0.2", vec![found(b"one"), moved("/two"), found(b"two")]);
        let fetcher = pretended(&[&["127.0.0.2"]], |_| ());
        assert_eq!(fetcher.fetch(&format!("http://pictures.test:{port}/a"), 10).await.expect("found"), b"one");
        assert_eq!(fetcher.fetch(&format!("http://127.0.0.2:{port}/a"), 10).await.expect("found"), b"two");
    }

    #[tokio::test]
    async fn a_redirect_to_a_private_address_is_refused_before_anything_connects() {
        let (inside, touched) = server("127.0.0.1", vec![found(b"secret")]);
        let targets = [
            format!("http://127.0.0.1:{inside}/"),
            format!("http://localhost:{inside}/"),
            format!("http://2130706433:{inside}/"),
            format!("http://[::ffff:127.0.0.1]:{inside}/"),
            "file:///etc/passwd".to_owned(),
            "gopher://127.0.0.2/".to_owned(),
            format!("http://user:word@127.0.0.2:{inside}/"),
        ];
        let (outside, _) = server("127.0.0.2", targets.iter().map(|to| moved(to)).collect());
        let fetcher = pretended(&[], |_| ());
        for target in &targets {
            assert_eq!(code(&fetcher, &format!("http://127.0.0.2:{outside}/")).await, "link_refused", "{target}");
        }
        assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_name_that_stands_for_a_private_address_reaches_nothing() {
        let (port, touched) = server("127.0.0.1", vec![found(b"secret")]);
        let fetcher = pretended(&[&["127.0.0.1"], &["::1", "127.0.0.1", "10.0.0.1"], &[]], |_| ());
        for _ in 0..3 {
            assert_eq!(code(&fetcher, &format!("http://inside.test:{port}/")).await, "link_unreachable");
        }
        assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_name_that_changes_its_answer_gains_nothing() {
        // The first lookup is public, every later one private: whoever looks up again to connect is lost.
        let (port, touched) = server("127.0.0.1", vec![found(b"secret"); 3]);
        let fetcher = pretended(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.1"]], |_| ());
        // Nobody listens on 127.0.0.2 at this port, so nothing is reached.
        assert_eq!(code(&fetcher, &format!("http://rebind.test:{port}/")).await, "link_unreachable");
        // And a redirect to the same name, which is private by then.
        let (outside, _) = server("127.0.0.2", vec![moved(&format!("http://rebind.test:{port}/"))]);
        let fetcher = pretended(&[&["127.0.0.2"], &["127.0.0.1"]], |_| ());
        assert_eq!(code(&fetcher, &format!("http://rebind.test:{outside}/")).await, "link_unreachable");
        assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
        // Of several addresses only the public ones are tried.
        let (both, _) = server("127.0.0.2", vec![found(b"public")]);
        let fetcher = pretended(&[&["127.0.0.1", "127.0.0.2"]], |_| ());
        assert_eq!(fetcher.fetch(&format!("http://both.test:{both}/"), 10).await.expect("found"), b"public");
    }

    #[tokio::test]
    async fn servers_that_misbehave_cost_little_and_are_told_apart() {
        let endless_header = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 64 << 10]].concat();
        let endless_body = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0; 5_000]].concat();
        let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
        let zipped = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc".to_vec();
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc".to_vec();
        let cases = [
            (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "link_answer_unusable"),
            (endless_header, "link_answer_unusable"),
            (endless_body, "image_too_large"),
            (announced, "image_too_large"),
            (zipped, "link_answer_unusable"),
            (short, "link_answer_unusable"),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "link_status"),
            (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "link_answer_unusable"),
            (Vec::new(), "link_timeout"),
        ];
        for (answer, expected) in cases {
            let (port, _) = server("127.0.0.2", vec![answer]);
            let begin = std::time::Instant::now();
            assert_eq!(code(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/")).await, expected);
            assert!(begin.elapsed() < Duration::from_secs(3), "{expected}");
        }
        let (port, visits) = server("127.0.0.2", vec![moved("/again"); 10]);
        assert_eq!(
            code(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/")).await,
            "link_too_many_redirects"
        );
        assert_eq!(visits.load(std::sync::atomic::Ordering::SeqCst), 4, "the link itself and three redirects");
    }

    #[tokio::test]
    async fn an_encrypted_link_needs_a_certificate_that_is_trusted() {
        let (port, _) = server("127.0.0.2", vec![found(b"plain")]);
        assert_eq!(code(&pretended(&[], |_| ()), &format!("https://127.0.0.2:{port}/")).await, "link_tls_failed");
        let (port, _) = server("127.0.0.2", vec![moved("http://127.0.0.2/")]);
        // From http to https and back would be a downgrade; here the first step already is plain.
        assert_eq!(code(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/")).await, "link_unreachable");
    }
}
