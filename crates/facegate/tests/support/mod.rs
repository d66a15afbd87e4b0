//! A service on a loopback port of its own, and a client that sends whatever it is told to.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use face_analysis::FaceAnalyzer;
use facegate::config::Config;
use facegate::server::app::{App, DETECT};
use facegate::server::auth::Authenticator;
use facegate::server::metrics::METRICS;
use facegate::server::openapi::document;
use facegate::server::tls::Tls;
use facegate::server::{Connections, serve};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The only user.
pub const USER: &str = "ann";
/// Her password.
pub const PASSWORD: &str = "correct horse: battery";

/// A running service; dropping it stops it.
pub struct Service {
    pub address: SocketAddr,
    /// Where Prometheus would look.
    metrics: SocketAddr,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    stopped: oneshot::Receiver<()>,
}

impl Service {
    /// With the default configuration and the shared networks.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// With a changed configuration.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_analyzer(change, Some(Arc::clone(testkit::analyzer())))
    }

    /// With networks of one's own, or none: not ready.
    pub fn with_analyzer(change: impl FnOnce(&mut Config), analyzer: Option<Arc<FaceAnalyzer>>) -> Self {
        let mut config = Config::default();
        config.server.workers = 2;
        change(&mut config);
        let users = Arc::new(Authenticator::single(USER, PASSWORD).expect("hashes"));
        let app = Arc::new(App::new(&config, users, config.server.workers).expect("an audit log"));
        let tls = config.server.tls_certificate.as_ref().zip(config.server.tls_key.as_ref());
        let tls = tls.map(|(certificate, key)| Arc::new(Tls::load(certificate, key).expect("a certificate")));
        if let Some(analyzer) = analyzer {
            app.install(analyzer);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runs");
        let [(listener, address), (metrics_listener, metrics)] = [(); 2].map(|()| {
            let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
            listener.set_nonblocking(true).expect("nonblocking");
            let address = listener.local_addr().expect("bound");
            (listener, address)
        });
        let (stop, stopping) = oneshot::channel::<()>();
        let (done, stopped) = oneshot::channel();
        let connections = Connections {
            max: config.server.max_connections,
            header_timeout: Duration::from_millis(config.server.header_timeout_ms),
            answer_timeout: Duration::from_millis(config.server.answer_timeout_ms),
            shutdown_timeout: Duration::from_secs(config.server.shutdown_timeout_s),
        };
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let stop = async {
                let _ = stopping.await;
                app.stop();
            };
            let metrics = tokio::net::TcpListener::from_std(metrics_listener).expect("a listener");
            let scraped = Arc::clone(&app).metrics_router();
            tokio::spawn(serve(metrics, scraped, None, connections, std::future::pending()));
            serve(listener, Arc::clone(&app).router(), tls, connections, stop).await.expect("serves");
            let _ = done.send(());
        });
        Self { address, metrics, runtime: Some(runtime), stop: Some(stop), stopped }
    }

    /// As SIGTERM does: no new connections, requests that have begun may finish.
    pub fn begin_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until the service has stopped.
    pub fn wait_until_stopped(mut self) {
        self.begin_to_stop();
        let runtime = self.runtime.take().expect("running");
        runtime.block_on(&mut self.stopped).expect("stops");
    }

    /// Sends bytes as they are and reads until the service closes the connection.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The service may answer and close before all is sent.
        let _ = stream.write_all(request);
        Answer::read(&mut stream)
    }

    /// The same, to the listener for Prometheus.
    pub fn metrics_request(&self, request: &[u8]) -> Answer {
        let mut stream = connect(self.metrics);
        stream.write_all(request).expect("a listener");
        Answer::read(&mut stream)
    }

    /// What Prometheus reads.
    pub fn scrape(&self) -> Answer {
        self.metrics_request(&request_bytes("GET", METRICS, &[], b""))
    }

    /// A connection with a generous time limit.
    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// A request with a method, a path, headers and a body.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.raw(&request_bytes(method, path, headers, body))
    }

    /// `POST` to the detect call with the right credentials and content type.
    pub fn detect_bytes(&self, body: &[u8]) -> Answer {
        let authorization = basic(USER, PASSWORD);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.request("POST", DETECT, &headers, body)
    }

    /// The same with a JSON body.
    pub fn detect(&self, body: &Value) -> Answer {
        self.detect_bytes(body.to_string().as_bytes())
    }

    /// Analyses a picture.
    pub fn picture(&self, picture: &[u8]) -> Answer {
        self.detect(&json!({ "sessionId": "a picture", "faceImageBase": base64(picture) }))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.begin_to_stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

/// A request as it goes over the wire, one to a connection.
pub fn request_bytes(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: facegate\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend(format!("{name}: {value}\r\n").bytes());
    }
    request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
    request.extend(body);
    request
}

/// The value of an `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

/// Base64 in the standard alphabet.
pub fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads until the connection closes.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer, not a dropped connection");
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole header");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII header");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a status");
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body, which must be the contract's envelope.
    pub fn envelope(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let json: Value = serde_json::from_slice(&self.body).expect("JSON");
        let error = json["hasError"].as_bool().expect("hasError is a boolean");
        assert_eq!(error, json.get("error").is_some(), "{json}");
        assert_eq!(error, json.get("errorDetail").is_some(), "{json}");
        assert_eq!(!error, json.get("face").is_some(), "{json}");
        if error {
            let detail = &json["errorDetail"];
            assert!(detail["code"].is_string() && detail["message"].as_str().is_some_and(|m| m.len() > 10), "{json}");
            let word = json["error"].as_str().expect("a word");
            assert!(facegate::server::contract::error_words().any(|known| known == word), "{word}");
            assert!(documented(self.status, detail["code"].as_str().expect("a code")), "not documented: {self:?}");
        }
        json
    }

    /// The finer reason of an error.
    pub fn code(&self) -> String {
        self.envelope()["errorDetail"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Whether the OpenAPI document has an example of an error answer with this status and reason.
fn documented(status: u16, code: &str) -> bool {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(document()).expect("JSON"));
    let operations = DOCUMENT["paths"].as_object().expect("paths").values().filter_map(Value::as_object).flatten();
    operations
        .filter_map(|(_, o)| o["responses"][status.to_string()]["content"]["application/json"]["examples"].as_object())
        .flatten()
        .any(|(_, example)| example["value"]["errorDetail"]["code"] == code)
}

/// A command line, free of settings from the tester's environment.
pub fn facegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facegate"));
    for (name, _) in std::env::vars() {
        if name.starts_with("FACEGATE_") && name != "FACEGATE_MODELS_DIR" {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// What the program says and how it ends, with the networks in place.
pub fn output(arguments: &[&str]) -> Output {
    testkit::models();
    facegate(arguments).output().expect("runs")
}
