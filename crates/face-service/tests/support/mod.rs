//! A service on a loopback port of its own, and a client that sends whatever it is told to.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use face_analysis::FaceAnalyzer;
use face_service::app::App;
use face_service::auth::{Authenticator, hash_line};
use face_service::connections::{Connections, serve};
use face_service::paths::{DETECT, METRICS};
use face_service::settings::ServiceSettings;
use face_service::tls::Tls;
use serde_json::{Value, json};
pub use testkit::http::{Answer, base64, basic, request_bytes};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The only user.
pub const USER: &str = "ann";
/// Her password.
pub const PASSWORD: &str = "correct horse: battery";

/// Another one, where there are two.
pub const OTHER: &str = "bob";
/// His password.
pub const OTHER_PASSWORD: &str = "battery staple, horse";

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
    /// With the default settingsuration and the shared networks.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// With a changed settings.
    pub fn with(change: impl FnOnce(&mut ServiceSettings)) -> Self {
        Self::with_analyzer(change, Some(Arc::clone(testkit::analyzer())))
    }

    /// With a second user, and changed settings.
    pub fn with_two_users(change: impl FnOnce(&mut ServiceSettings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        let lines =
            [(USER, PASSWORD), (OTHER, OTHER_PASSWORD)].map(|(name, word)| hash_line(name, word).expect("hashes"));
        std::fs::write(&path, lines.join("\n")).expect("writes");
        let users = Authenticator::from_file(&path).expect("two users");
        Self::with_all(change, Some(Arc::clone(testkit::analyzer())), users)
    }

    /// With networks of one's own, or none: not ready.
    pub fn with_analyzer(change: impl FnOnce(&mut ServiceSettings), analyzer: Option<Arc<FaceAnalyzer>>) -> Self {
        Self::with_all(change, analyzer, Authenticator::single(USER, PASSWORD).expect("hashes"))
    }

    fn with_all(
        change: impl FnOnce(&mut ServiceSettings),
        analyzer: Option<Arc<FaceAnalyzer>>,
        users: Authenticator,
    ) -> Self {
        let mut settings = ServiceSettings::default();
        settings.server.workers = 2;
        change(&mut settings);
        let app = Arc::new(App::new(&settings, Arc::new(users), settings.server.workers).expect("an audit log"));
        let tls = settings.server.tls_certificate.as_ref().zip(settings.server.tls_key.as_ref());
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
        let connections = Connections::of(&settings);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let stop = async {
                let _ = stopping.await;
                app.stop();
            };
            let metrics = tokio::net::TcpListener::from_std(metrics_listener).expect("a listener");
            let scraped = Arc::clone(&app).metrics_router();
            tokio::spawn(serve(metrics, scraped, None, connections.clone(), std::future::pending()));
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

    /// The same as a user of one's choice.
    pub fn detect_as(&self, user: &str, password: &str, body: &[u8]) -> Answer {
        let authorization = basic(user, password);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.request("POST", DETECT, &headers, body)
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
