//! Links against servers and names that misbehave, on loopback addresses.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::contract::Problem;

fn fetcher(change: impl FnOnce(&mut LinkSettings)) -> LinkFetcher {
    let mut settings = LinkSettings::default();
    change(&mut settings);
    LinkFetcher::new(settings, 1.0).expect("threads")
}

async fn fetch(fetcher: &LinkFetcher, link: &str, max_bytes: usize) -> Result<Vec<u8>, Problem> {
    Ok(fetcher.fetch(link, Buffer::alone(max_bytes), true, ()).await?.to_vec())
}

async fn code(fetcher: &LinkFetcher, link: &str) -> &'static str {
    fetch(fetcher, link, 1000).await.expect_err(link).code
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
    assert_eq!(code(&open, &format!("http://example.com/{}", "a".repeat(9000))).await, "link_malformed");
    assert_eq!(code(&fetcher(|s| s.enabled = false), "http://example.com/").await, "link_disabled");
    let denying = fetcher(|s| s.deny_hosts = rules(&["Example.com", "bücher.example", "8.8.8.8", "2606:4700::1111"]));
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

/// In these tests 127.0.0.2 plays a public server and 127.0.0.1 a private one.
fn pretended(answers: &[&[&str]], change: impl FnOnce(&mut LinkSettings)) -> LinkFetcher {
    let mut fetcher = fetcher(|settings| {
        settings.ports = (1..=u16::MAX).collect();
        settings.connect_timeout_ms = 5_000;
        settings.timeout_ms = 15_000;
        change(settings);
    });
    let address = |text: &&str| text.parse().expect("an address");
    let answers = answers.iter().map(|list| list.iter().map(address).collect()).collect();
    fetcher.network.public = |address| address == IpAddr::from([127, 0, 0, 2]);
    fetcher.network.answers = Some(Arc::new(std::sync::Mutex::new(answers)));
    fetcher
}

/// Times for a server that is not to answer.
fn short_times(settings: &mut LinkSettings) {
    settings.connect_timeout_ms = 500;
    settings.timeout_ms = 1_500;
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
                std::thread::sleep(Duration::from_secs(20));
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
    assert_eq!(fetch(&fetcher, &format!("http://pictures.test:{port}/a"), 10).await.expect("found"), b"one");
    assert_eq!(fetch(&fetcher, &format!("http://127.0.0.2:{port}/a"), 10).await.expect("found"), b"two");
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
    assert_eq!(fetch(&fetcher, &format!("http://both.test:{both}/"), 10).await.expect("found"), b"public");
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
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde".to_vec(), "link_answer_unusable"),
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
        let fetcher = pretended(&[], |settings| {
            if expected == "link_timeout" {
                short_times(settings);
            }
        });
        let begin = std::time::Instant::now();
        assert_eq!(code(&fetcher, &format!("http://127.0.0.2:{port}/")).await, expected);
        assert!(begin.elapsed() < Duration::from_secs(10), "{expected}");
    }
    let (port, visits) = server("127.0.0.2", vec![moved("/again"); 10]);
    assert_eq!(code(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/")).await, "link_too_many_redirects");
    assert_eq!(visits.load(std::sync::atomic::Ordering::SeqCst), 4, "the link itself and three redirects");
}

#[tokio::test]
async fn what_comes_after_the_announced_length_is_not_read() {
    let (port, _) = server("127.0.0.2", vec![[found(b"abc"), vec![b'x'; 100]].concat()]);
    let fetched = fetch(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/"), 10).await;
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
        let fetcher = pretended(&[], |settings| {
            if !endless {
                short_times(settings);
            }
        });
        let begin = std::time::Instant::now();
        let code = code(&fetcher, &format!("http://127.0.0.2:{port}/")).await;
        assert!(code == expected || code == "link_answer_unusable", "{code} for {expected}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{expected} took {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn an_encrypted_link_needs_a_certificate_that_is_trusted_and_the_hosts() {
    let (port, _) = server("127.0.0.2", vec![found(b"plain")]);
    assert_eq!(code(&pretended(&[], |_| ()), &format!("https://127.0.0.2:{port}/")).await, "link_tls_failed");
    let server = Encrypted::new();
    let port = server.serve(vec![found(b"one"), found(b"two"), found(b"three")]);
    let known = [&["127.0.0.2"][..]; 3];
    assert_eq!(code(&pretended(&known, |_| ()), &format!("https://pictures.test:{port}/")).await, "link_tls_failed");
    let fetcher = server.trusted_by(pretended(&known, |_| ()));
    assert_eq!(code(&fetcher, &format!("https://other.test:{port}/")).await, "link_tls_failed");
    assert!(fetch(&fetcher, &format!("https://pictures.test:{port}/"), 10).await.is_ok());
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
    assert_eq!(fetch(&fetcher, &format!("http://pictures.test:{up}/"), 10).await.expect("found"), b"encrypted");
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
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
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

#[tokio::test]
async fn a_location_beyond_ascii_is_followed_as_browsers_do() {
    // Raw UTF-8, an encoding of it, and bytes that are no UTF-8: what arrives is what a browser asks for.
    let locations: [(&[u8], &str); 4] = [
        ("/bücher/ä.jpg?q=ö".as_bytes(), "/b%C3%BCcher/%C3%A4.jpg?q=%C3%B6"),
        (b"/b%C3%BCcher", "/b%C3%BCcher"),
        (b"/caf\xe9", "/caf%E9"),
        ("日本.jpg".as_bytes(), "/%E6%97%A5%E6%9C%AC.jpg"),
    ];
    for (location, expected) in locations {
        let head = [b"HTTP/1.1 302 Found\r\nLocation: ", location, b"\r\nContent-Length: 0\r\n\r\n"].concat();
        let (asked, seen) = std::sync::mpsc::channel();
        let port = misbehaving_twice(move |first, request, mut stream| {
            use std::io::Write as _;
            let _ = stream.write_all(if first { &head } else { b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" });
            if !first {
                let _ = asked.send(request);
            }
        });
        let fetched = fetch(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/"), 10).await;
        assert_eq!(fetched.expect("followed"), b"abc");
        let request = seen.recv().expect("asked");
        assert!(request.starts_with(&format!("GET {expected} HTTP/1.1")), "{request}");
    }
}

/// A server that is told which request it is, and what was asked.
fn misbehaving_twice(serve: impl Fn(bool, String, std::net::TcpStream) + Send + 'static) -> u16 {
    use std::io::Read as _;
    let listener = std::net::TcpListener::bind(("127.0.0.2", 0)).expect("a loopback address");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for first in [true, false] {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            serve(first, String::from_utf8_lossy(&request[..length]).into_owned(), stream);
        }
    });
    port
}

#[tokio::test]
async fn links_may_be_as_long_as_signed_ones_are() {
    let (port, _) = server("127.0.0.2", vec![found(b"signed"), moved(&format!("/{}", "a".repeat(9000)))]);
    let fetcher = pretended(&[], |_| ());
    let start = format!("http://127.0.0.2:{port}/a.jpg?token=");
    let longest = format!("{start}{}", "A".repeat(8_192 - start.len()));
    assert_eq!(fetch(&fetcher, &longest, 10).await.expect("8192 bytes"), b"signed");
    let problem = fetch(&fetcher, &format!("{longest}A"), 10).await.expect_err("a byte more");
    assert_eq!(problem.code, "link_malformed");
    assert!(problem.message.contains("8192"), "{}", problem.message);
    // Where a redirect leads counts the same.
    assert_eq!(code(&fetcher, &format!("http://127.0.0.2:{port}/")).await, "link_answer_unusable");
    let short = pretended(&[], |settings| settings.max_length = 100);
    assert_eq!(code(&short, &format!("http://127.0.0.2:{port}/{}", "a".repeat(100))).await, "link_malformed");
}

#[tokio::test]
async fn networks_can_be_listed() {
    let listed = rules(&["203.0.113.0/24", "8.8.0.0/16", "2606:4700::/32", "::ffff:9.9.0.0/112"]);
    let covers = |address: &str| listed.iter().any(|rule| rule.covers_address(address.parse().expect("an address")));
    for address in ["8.8.4.4", "::ffff:8.8.8.8", "2606:4700:1::1", "9.9.9.9"] {
        assert!(covers(address), "{address}");
    }
    assert!(!covers("8.9.0.1") && !covers("9.8.9.9") && !covers("2606:4701::1"));
    assert_eq!(String::from(rules(&["8.8.8.8/16"]).remove(0)), "8.8.0.0/16", "written as it counts");
    let denying = fetcher(|settings| settings.deny_hosts = listed);
    assert_eq!(code(&denying, "http://8.8.4.4/a.jpg").await, "link_refused");
    // Nor through a name.
    let (port, touched) = server("127.0.0.2", vec![found(b"denied")]);
    let through = pretended(&[&["127.0.0.2"]], |settings| settings.deny_hosts = rules(&["127.0.0.0/8"]));
    assert_eq!(code(&through, &format!("http://pictures.test:{port}/")).await, "link_unreachable");
    assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn framing_is_bounded_and_not_only_what_it_carries() {
    // Interim answers in plenty, then a good one; and a picture in chunks of one byte.
    let interim = [b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(5_000), found(b"abc")].concat();
    let chunked =
        [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &b"1\r\nx\r\n".repeat(200_000)].concat();
    for answer in [interim, chunked] {
        let (port, _) = server("127.0.0.2", vec![answer]);
        let problem = fetch(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/"), 200_000).await;
        assert_eq!(problem.expect_err("too much of it").code, "link_answer_unusable");
    }
    // What real servers send is no more than that.
    let pieces = [&b"400\r\n"[..], &[b'x'; 0x400], b"\r\n"].concat().repeat(100);
    let usual = [
        &b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        &pieces,
        b"0\r\n\r\n",
    ];
    let (port, _) = server("127.0.0.2", vec![usual.concat()]);
    let fetched = fetch(&pretended(&[], |_| ()), &format!("http://127.0.0.2:{port}/"), 200_000).await;
    assert_eq!(fetched.expect("a usual answer").len(), 102_400);
}

#[tokio::test]
async fn an_answer_that_drips_holds_what_came_and_is_cut_off() {
    let port = misbehaving(|mut stream| {
        use std::io::Write as _;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let fetcher = pretended(&[], |settings| settings.timeout_ms = 8_000);
    let memory = crate::shares::Shares::new(1 << 20);
    let buffer = Buffer::new(memory.part("ann".into()), 1 << 20, 1 << 20);
    let link = format!("http://127.0.0.2:{port}/");
    let fetching = fetcher.fetch(&link, buffer, false, ());
    tokio::pin!(fetching);
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut fetching).await.is_err());
    assert!(memory.used() <= 16 << 10, "{} for a few bytes", memory.used());
    let begin = std::time::Instant::now();
    let problem = fetching.await.expect_err("too slow");
    assert_eq!(problem.code, "link_timeout");
    assert!(problem.message.contains("slowly") && begin.elapsed() < Duration::from_secs(7), "{}", problem.message);
    assert_eq!(memory.used(), 0);
}

/// The time of a link that is in nobody's way.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_link_that_is_broken_off_holds_its_permit_until_its_lookup_is_done() {
    let network = Network::new(0.5).expect("threads");
    let permit = Arc::new(());
    let followed = Followed::new("ann".into(), false, LONG, Arc::clone(&permit));
    // A name that no resolver knows; whether that takes long is the system's affair.
    let target = named("nobody.invalid");
    let place = network.place(&target, &followed, Duration::ZERO).await.expect("all are free");
    let settings = LinkSettings::default();
    let connecting = network.connect(&settings, &target, place);
    let _ = tokio::time::timeout(Duration::ZERO, connecting).await;
    drop(followed);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while Arc::strong_count(&permit) > 1 {
        assert!(std::time::Instant::now() < deadline, "it is never given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn named(host: &str) -> Target {
    Target { host: Name::Domain(host.into()), port: 80, encrypted: false }
}

/// Takes name lookups that never end, as many as there are; none of them waits longer than `patience`.
async fn hanging(network: &Network, user: &Followed, patience: Duration) -> Vec<network::Place> {
    let mut places = Vec::new();
    while let Ok(place) = network.place(&named("silent.test"), user, patience).await {
        places.push(place);
    }
    places
}

#[tokio::test]
async fn of_several_users_none_has_more_than_a_share_of_the_lookups_and_one_alone_has_all() {
    let patience = Duration::from_millis(50);
    let several = Network::new(0.5).expect("threads");
    let [ann, bob, cem] = ["ann", "bob", "cem"].map(|user| Followed::new(user.into(), false, LONG, ()));
    let mut hers = hanging(&several, &ann, patience).await;
    assert_eq!(hers.len(), 8, "half of 16");
    let target = named("pictures.test");
    // Her next waits for one of hers, and keeps nobody from the other half.
    let waiting = several.place(&target, &ann, Duration::from_secs(60));
    let (next, his, ()) = tokio::join!(waiting, hanging(&several, &bob, patience), async {
        tokio::time::sleep(patience / 5).await;
        drop(hers.pop());
    });
    assert!(next.is_ok() && his.len() == 8);
    assert_eq!(several.place(&target, &cem, patience).await.err(), Some(LinkError::Busy));
    let address = Target { host: Name::Address([127, 0, 0, 2].into()), ..named("") };
    assert!(several.place(&address, &cem, Duration::ZERO).await.is_ok(), "nothing is looked up");
    let alone = Network::new(0.5).expect("threads");
    assert_eq!(hanging(&alone, &Followed::new("ann".into(), true, LONG, ()), patience).await.len(), 16);
}

#[tokio::test]
async fn a_link_waits_for_a_lookup_and_is_told_to_come_again_when_none_ends() {
    let (port, _) = server("127.0.0.2", vec![found(b"one")]);
    let fetcher = pretended(&[&["127.0.0.2"]], |settings| {
        (settings.connect_timeout_ms, settings.timeout_ms) = (8_000, 60_000);
    });
    // Who waits for the same lookups, and not for long.
    let mut hasty = pretended(&[], short_times);
    hasty.network = fetcher.network.clone();
    let link = format!("http://pictures.test:{port}/");
    let others = Followed::new("ann".into(), true, LONG, ());
    let held = hanging(&fetcher.network, &others, Duration::ZERO).await;
    let problem = fetch(&hasty, &link, 10).await.expect_err("all lookups hang");
    assert_eq!((problem.status, problem.code), (StatusCode::SERVICE_UNAVAILABLE, "links_busy"));
    assert!(problem.header.is_some_and(|(name, _)| name == axum::http::header::RETRY_AFTER));
    // Also when the wait takes most of the time that a connection may take.
    let (fetched, ()) = tokio::join!(fetch(&fetcher, &link, 10), async {
        tokio::time::sleep(Duration::from_millis(4_500)).await;
        drop(held);
    });
    assert_eq!(fetched.expect("found"), b"one");
}

#[tokio::test]
async fn who_waits_for_a_lookup_until_the_links_time_ends_is_told_to_come_again() {
    let fetcher = pretended(&[&["127.0.0.2"]], |settings| {
        settings.timeout_ms = 300;
        settings.connect_timeout_ms = 10_000;
    });
    let others = Followed::new("ann".into(), true, LONG, ());
    let _held = hanging(&fetcher.network, &others, Duration::ZERO).await;
    assert_eq!(code(&fetcher, "http://pictures.test/").await, "links_busy");
}

/// A socket at `port` of 127.0.0.3 that answers nobody: its queue has room for one and is full.
fn silent(port: u16) -> (socket2::Socket, std::net::TcpStream) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 3], port));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&address.into()).expect("nobody else is there");
    socket.listen(0).expect("listens");
    let only = std::net::TcpStream::connect(address).expect("the first fits");
    (socket, only)
}

#[tokio::test]
async fn an_address_that_is_silent_keeps_nobody_from_the_next() {
    let (port, _) = server("127.0.0.2", vec![found(b"answered")]);
    let _silent = silent(port);
    let mut fetcher =
        pretended(&[&["127.0.0.3", "127.0.0.2"], &["127.0.0.3"], &["127.0.0.3", "127.0.0.1"]], |settings| {
            (settings.connect_timeout_ms, settings.timeout_ms) = (2_000, 8_000);
        });
    fetcher.network.public = |address| address != IpAddr::from([127, 0, 0, 1]);
    let link = format!("http://pictures.test:{port}/");
    assert_eq!(fetch(&fetcher, &link, 10).await.expect("the second answers"), b"answered");
    assert_eq!(code(&fetcher, &link).await, "link_timeout");
    // What is not public is not tried either when the others are silent.
    let (inside, touched) = server("127.0.0.1", vec![found(b"secret")]);
    let _silent = silent(inside);
    assert_eq!(code(&fetcher, &format!("http://pictures.test:{inside}/")).await, "link_timeout");
    assert_eq!(touched.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn of_many_addresses_both_families_are_tried() {
    let addresses = ["[2001:db8::1]:80", "[2001:db8::2]:80", "[2001:db8::3]:80", "192.0.2.1:80", "192.0.2.2:80"];
    let listed = addresses.iter().map(|text| text.parse().expect(text)).collect();
    let tried: Vec<_> = network::families_in_turn(listed).map(|address| address.to_string()).collect();
    assert_eq!(tried, [0, 3, 1, 4, 2].map(|index| addresses[index]));
}

#[tokio::test]
async fn each_server_is_told_the_host_that_its_link_names_and_after_a_redirect_the_new_one() {
    let (asked, seen) = std::sync::mpsc::channel();
    let port = misbehaving_twice(move |first, request, mut stream| {
        use std::io::Write as _;
        let port = stream.local_addr().expect("connected").port();
        let answer = if first { moved(&format!("http://bilder.test:{port}/b")) } else { found(b"abc") };
        let _ = stream.write_all(&answer);
        let _ = asked.send(request);
    });
    let fetcher = pretended(&[&["127.0.0.2"], &["127.0.0.2"]], |_| ());
    assert_eq!(fetch(&fetcher, &format!("http://pictures.test:{port}/a"), 10).await.expect("followed"), b"abc");
    for name in ["pictures.test", "bilder.test"] {
        let request = seen.recv().expect("asked").to_ascii_lowercase();
        let hosts: Vec<_> = request.lines().filter(|line| line.starts_with("host:")).collect();
        assert_eq!(hosts, [format!("host: {name}:{port}")]);
    }
}

#[tokio::test]
async fn as_many_redirects_are_followed_as_the_setting_says() {
    let (port, visits) = server("127.0.0.2", vec![moved("/again"); 10]);
    let fetcher = pretended(&[], |settings| settings.max_redirects = 1);
    assert_eq!(code(&fetcher, &format!("http://127.0.0.2:{port}/")).await, "link_too_many_redirects");
    assert_eq!(visits.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_message_quotes_the_link_or_where_it_led() {
    let secret = "/private-path?token=tell-nobody";
    let answers = vec![
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        moved(&format!("http://127.0.0.1{secret}")),
        moved("http://[private-path"),
        b"private-path is no HTTP".to_vec(),
    ];
    let count = answers.len();
    let (port, _) = server("127.0.0.2", answers);
    let fetcher = pretended(&[], |_| ());
    let narrow = pretended(&[], |settings| settings.max_length = 20);
    let mut problems = Vec::new();
    for _ in 0..count {
        let link = format!("http://127.0.0.2:{port}{secret}");
        problems.push(fetch(&fetcher, &link, 1_000).await.expect_err("none of them is a picture"));
    }
    // Nobody listens there any more.
    let gone = format!("127.0.0.2:{port}");
    for host in ["127.0.0.1", "name:word@127.0.0.2", "[::1", "127.0.0.2:0", &gone] {
        problems.push(fetch(&fetcher, &format!("http://{host}{secret}"), 1_000).await.expect_err(host));
    }
    problems.push(fetch(&narrow, &format!("http://127.0.0.2{secret}"), 1_000).await.expect_err("too long"));
    for problem in problems {
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY);
        for part in ["private", "token", "nobody", "127.0.0", "word"] {
            assert!(!problem.message.contains(part), "{part} in {}", problem.message);
        }
    }
}
