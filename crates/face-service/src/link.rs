//! Pictures behind links that strangers send.
//!
//! The connection is ours from the name to the socket: a name is resolved here, addresses that are not public are
//! dropped, and the socket is opened to one of the addresses that were checked. Nothing resolves the name a second
//! time, so that a name that changes its answer (DNS rebinding) gains nothing. Every redirect goes the same way.

pub mod address;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
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
use utoipa::ToSchema;

use super::contract::Problem;
use super::source::too_large;

/// What links may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// Whether links are taken at all.
    pub enabled: bool,
    /// Let links reach private addresses: for tests and for networks where every caller is trusted.
    pub allow_private: bool,
    /// The ports that links may name.
    pub ports: Vec<u16>,
    /// The only hosts that links may name, with their subdomains; empty for any.
    #[schema(value_type = Vec<String>)]
    pub allow_hosts: Vec<HostRule>,
    /// Hosts that links may not name, with their subdomains; an address is not reached through a name either.
    #[schema(value_type = Vec<String>)]
    pub deny_hosts: Vec<HostRule>,
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

/// A name, which stands for its subdomains too, or an address. Spelled as in a link: `bücher.example` is the host that
/// links write as `xn--bcher-kva.example`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostRule(Host);

/// What was written is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name nor an address: write example.com, which stands for its subdomains too")]
pub struct HostRuleError(String);

impl TryFrom<String> for HostRule {
    type Error = HostRuleError;

    fn try_from(text: String) -> Result<Self, HostRuleError> {
        if let Ok(v6) = text.parse::<Ipv6Addr>() {
            return Ok(Self(Host::Ipv6(v6)));
        }
        match Host::parse(text.trim_matches('.')) {
            Ok(host) if !text.contains('*') => Ok(Self(host)),
            _ => Err(HostRuleError(text)),
        }
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.0.to_string()
    }
}

impl HostRule {
    fn covers_name(&self, name: &str) -> bool {
        matches!(&self.0, Host::Domain(domain)
            if name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }

    fn covers_address(&self, address: IpAddr) -> bool {
        match self.0 {
            Host::Domain(_) => false,
            Host::Ipv4(v4) => IpAddr::from(v4) == address.to_canonical(),
            Host::Ipv6(v6) => IpAddr::from(v6).to_canonical() == address.to_canonical(),
        }
    }

    fn covers(&self, host: &Name) -> bool {
        match host {
            Name::Domain(name) => self.covers_name(name),
            Name::Address(address) => self.covers_address(*address),
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

impl fmt::Debug for LinkFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        let private = match &host {
            Name::Address(address) => !(self.network.is_public)(*address),
            // RFC 6761: never anybody else's.
            Name::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        };
        if private && !self.settings.allow_private {
            return refused("it names an address that is not public");
        }
        let listed = |list: &[HostRule]| list.iter().any(|rule| rule.covers(&host));
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
        let denied = |address: IpAddr| self.settings.deny_hosts.iter().any(|rule| rule.covers_address(address));
        let may = |address: &SocketAddr| {
            (self.settings.allow_private || (self.network.is_public)(address.ip())) && !denied(address.ip())
        };
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
    for (name, plain) in [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")] {
        let mut codings = response.headers().get_all(name).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(plain.as_bytes())) {
            return Err(LinkError::Answer("it is compressed although that was not asked for").into());
        }
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
            "LOCALHOST",
            "a.localhost",
            "0x7f.1",
            "0x7F.0x0.0x0.0x1",
            "0177.1",
            "017700000001",
            "00000177.0.0.01",
            "127.0.0.1.",
            "127.0.1",
            "%31%32%37.0.0.1",
            "%6c%6f%63%61%6c%68%6f%73%74",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
            "ｌｏｃａｌｈｏｓｔ",
            "loc\u{ad}alhost",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::ffff:a9fe:a9fe]",
            "[::7f00:1]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::7f00:1]",
            "[2002:c0a8:1::1]",
            "[2001:0:7f00:1::]",
            "[fec0::1]",
            "[ff02::1]",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "240.0.0.1",
            "255.255.255.255",
            // What comes before the at sign is a user's name, and a backslash is a slash.
            "example.com@127.0.0.1",
            "example.com:80@127.0.0.1",
            "127.0.0.1#@example.com",
            "127.0.0.1\\@example.com",
            "127.0.0.1?@example.com",
            "127.0.0.1\t",
            "127.0\n.0.1",
        ] {
            assert_eq!(code(&fetcher, &format!("http://{host}/a.jpg")).await, "link_refused", "{host}");
        }
        for host in
            ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1", "127.0.0.1:", "1.2.3.4.5", "256.256.256.256", "0x1ffffffff"]
        {
            let code = code(&fetcher, &format!("http://{host}/a.jpg")).await;
            assert!(["link_malformed", "link_refused"].contains(&code), "{host}: {code}");
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
        let denying =
            fetcher(|s| s.deny_hosts = rules(&["Example.com", "bücher.example", "8.8.8.8", "2606:4700::1111"]));
        for link in [
            "http://example.com/",
            "http://a.EXAMPLE.com./",
            "http://exam\u{ad}ple.com/",
            "http://bücher.example/",
            "http://www.XN--BCHER-KVA.example/",
            "http://8.8.8.8/",
            "http://0x08080808/",
            "http://[2606:4700:0::1111]/",
        ] {
            assert_eq!(code(&denying, link).await, "link_refused", "{link}");
        }
        let allowing = fetcher(|s| s.allow_hosts = rules(&[".example.com", "1.1.1.1"]));
        for link in ["http://notexample.com/", "http://example.com.evil.test/", "http://8.8.1.1/", "http://1.1.1.2/"] {
            assert_eq!(code(&allowing, link).await, "link_refused", "{link}");
        }
    }

    fn rules(texts: &[&str]) -> Vec<HostRule> {
        texts.iter().map(|text| HostRule::try_from((*text).to_owned()).expect(text)).collect()
    }

    #[test]
    fn what_is_no_host_cannot_be_listed() {
        for text in ["", "*.example.com", "https://example.com", "example.com/a", "a b", "1.2.3.4.5", "[::1"] {
            assert!(HostRule::try_from(text.to_owned()).is_err(), "{text}");
        }
        let [name, address] = rules(&["Bücher.Example.", "[::1]"]).try_into().expect("two");
        assert!(name.covers_name("a.xn--bcher-kva.example") && !name.covers_name("axn--bcher-kva.example"));
        assert!(address.covers_address("::1".parse().expect("an address")));
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

    /// A server whose every connection `serve` gets, once the request has come.
    fn misbehaving(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
        use std::io::Read as _;
        let listener = std::net::TcpListener::bind(("127.0.0.2", 0)).expect("a loopback address");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 4096]);
                serve(stream);
            }
        });
        port
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
            format!("//127.0.0.1:{inside}/"),
            format!("/\\\\127.0.0.1:{inside}/"),
            format!("http:\\\\localhost:{inside}\\"),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
        ];
        let (outside, _) = server("127.0.0.2", targets.iter().map(|to| moved(to)).collect());
        let fetcher = pretended(&[], |_| ());
        for target in &targets {
            assert_eq!(code(&fetcher, &format!("http://127.0.0.2:{outside}/")).await, "link_refused", "{target}");
        }
        // Also at the last of several redirects, whatever their status.
        let chain = |status: u16, to: &str| {
            format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        };
        let steps = vec![chain(301, "/b"), chain(307, "/c"), chain(308, &targets[0])];
        let (outside, _) = server("127.0.0.2", steps);
        assert_eq!(code(&fetcher, &format!("http://127.0.0.2:{outside}/")).await, "link_refused");
        assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
        // To a port that links may not name.
        let (outside, _) = server("127.0.0.2", vec![moved("http://127.0.0.2:22/")]);
        let narrow = pretended(&[], |settings| settings.ports = vec![outside]);
        assert_eq!(code(&narrow, &format!("http://127.0.0.2:{outside}/")).await, "link_refused");
    }

    #[tokio::test]
    async fn a_denied_address_is_not_reached_through_a_name() {
        let (port, touched) = server("127.0.0.2", vec![found(b"denied")]);
        let fetcher = pretended(&[&["127.0.0.2"]], |settings| settings.deny_hosts = rules(&["127.0.0.2"]));
        assert_eq!(code(&fetcher, &format!("http://pictures.test:{port}/")).await, "link_unreachable");
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
        let many_fields = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(500), b"\r\nabc".to_vec()].concat();
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc".to_vec();
        let cases = [
            (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "link_answer_unusable"),
            (endless_header, "link_answer_unusable"),
            (endless_body, "image_too_large"),
            (announced, "image_too_large"),
            (zipped, "link_answer_unusable"),
            (short, "link_answer_unusable"),
            // HTTP/0.9 has no header at all.
            (b"<html>a picture</html>".to_vec(), "link_answer_unusable"),
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nabc".to_vec(), "link_answer_unusable"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc".to_vec(), "link_answer_unusable"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde".to_vec(),
                "link_answer_unusable",
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc".to_vec(), "link_answer_unusable"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc".to_vec(),
                "link_answer_unusable",
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec(), "link_answer_unusable"),
            (many_fields, "link_answer_unusable"),
            (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nabc".to_vec(), "link_status"),
            (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), "link_status"),
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
    async fn what_comes_after_the_announced_length_is_not_read() {
        let (port, _) = server("127.0.0.2", vec![[found(b"abc"), vec![b'x'; 100]].concat()]);
        let fetched = pretended(&[], |_| ()).fetch(&format!("http://127.0.0.2:{port}/"), 10).await;
        assert_eq!(fetched.expect("found"), b"abc");
    }

    #[tokio::test]
    async fn answers_without_end_are_cut_off_by_size_or_by_time() {
        use std::io::Write as _;
        type Sender = fn(&mut std::net::TcpStream) -> io::Result<()>;
        let pause = || std::thread::sleep(Duration::from_millis(50));
        let cases: [(&[u8], Sender, &str); 5] = [
            // Chunks for ever.
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                |s| s.write_all(b"10\r\n0123456789abcdef\r\n"),
                "image_too_large",
            ),
            // A byte now and then.
            (b"HTTP/1.1 200 OK\r\n\r\n", |s| s.write_all(b"x"), "link_timeout"),
            (b"HTTP/1.1 200 OK\r\n", |s| s.write_all(b"x"), "link_timeout"),
            // Interim answers for ever.
            (b"", |s| s.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "link_timeout"),
            // A length of one chunk that never ends.
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", |s| s.write_all(b"0"), "link_timeout"),
        ];
        for (head, send, expected) in cases {
            let endless = expected == "image_too_large";
            let port = misbehaving(move |mut stream| {
                let _ = stream.set_nodelay(true);
                let mut sent = stream.write_all(head);
                while sent.is_ok() {
                    sent = send(&mut stream);
                    if !endless {
                        pause();
                    }
                }
            });
            let begin = std::time::Instant::now();
            let code = code(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/")).await;
            assert!(code == expected || code == "link_answer_unusable", "{code} for {expected}");
            assert!(begin.elapsed() < Duration::from_secs(3), "{expected} took {:?}", begin.elapsed());
        }
    }

    #[tokio::test]
    async fn an_encrypted_link_needs_a_certificate_that_is_trusted_and_the_hosts() {
        let (port, _) = server("127.0.0.2", vec![found(b"plain")]);
        assert_eq!(code(&pretended(&[], |_| ()), &format!("https://127.0.0.2:{port}/")).await, "link_tls_failed");
        let server = Encrypted::new();
        let port = server.serve(vec![found(b"one"), found(b"two"), found(b"three")]);
        let known = [&["127.0.0.2"][..]; 3];
        assert_eq!(
            code(&pretended(&known, |_| ()), &format!("https://pictures.test:{port}/")).await,
            "link_tls_failed"
        );
        let fetcher = server.trusted_by(pretended(&known, |_| ()));
        assert_eq!(code(&fetcher, &format!("https://other.test:{port}/")).await, "link_tls_failed");
        assert!(fetcher.fetch(&format!("https://pictures.test:{port}/"), 10).await.is_ok());
    }

    #[tokio::test]
    async fn a_redirect_may_add_encryption_and_not_take_it_away() {
        let server_of = Encrypted::new();
        let (plain, touched) = server("127.0.0.2", vec![found(b"plain")]);
        let down = server_of.serve(vec![moved(&format!("http://pictures.test:{plain}/"))]);
        let fetcher = server_of.trusted_by(pretended(&[&["127.0.0.2"], &["127.0.0.2"]], |_| ()));
        assert_eq!(code(&fetcher, &format!("https://pictures.test:{down}/")).await, "link_refused");
        assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
        let encrypted = server_of.serve(vec![found(b"encrypted")]);
        let (up, _) = server("127.0.0.2", vec![moved(&format!("https://pictures.test:{encrypted}/"))]);
        let fetcher = server_of.trusted_by(pretended(&[&["127.0.0.2"], &["127.0.0.2"]], |_| ()));
        assert_eq!(fetcher.fetch(&format!("http://pictures.test:{up}/"), 10).await.expect("found"), b"encrypted");
    }

    /// A certificate for `pictures.test` that nobody trusts but who is told to.
    struct Encrypted {
        certificate: rustls::pki_types::CertificateDer<'static>,
        config: Arc<rustls::ServerConfig>,
    }

    impl Encrypted {
        fn new() -> Self {
            let made = rcgen::generate_simple_self_signed(["pictures.test".to_owned()]).expect("a certificate");
            let certificate = made.cert.der().clone();
            let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
            let config =
                rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key))
                    .expect("a certificate and its key");
            Self { certificate, config: Arc::new(config) }
        }

        /// Serves each of `answers` to one connection after the other on 127.0.0.2; failed handshakes do not count.
        fn serve(&self, answers: Vec<Vec<u8>>) -> u16 {
            use std::io::{Read as _, Write as _};
            let listener = std::net::TcpListener::bind(("127.0.0.2", 0)).expect("a loopback address");
            let port = listener.local_addr().expect("bound").port();
            let config = Arc::clone(&self.config);
            std::thread::spawn(move || {
                let mut answers = answers.into_iter();
                for stream in listener.incoming() {
                    let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a configuration");
                    let mut stream = rustls::StreamOwned::new(connection, stream.expect("a caller"));
                    if stream.read(&mut [0; 4096]).is_err() {
                        continue;
                    }
                    let Some(answer) = answers.next() else { return };
                    let _ = stream.write_all(&answer);
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            });
            port
        }

        fn trusted_by(&self, mut fetcher: LinkFetcher) -> LinkFetcher {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).expect("a certificate");
            let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
                .expect("default protocol versions");
            fetcher.tls = TlsConnector::from(Arc::new(config));
            fetcher
        }
    }
}
