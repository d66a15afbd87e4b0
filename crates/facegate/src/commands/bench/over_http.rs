//! Requests over HTTP, to the service as a process of its own or to a peer.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use face_service::auth::random_password;
use face_service::paths::DETECT;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::{CommandError, ConfigArgs};
use super::BenchArgs;
use super::figures::{Figures, summary};
use super::process::{peak_memory_mb, process_cpu};

/// The service under load.
pub(super) struct Service {
    /// Its process when it is our child, stopped when dropped.
    child: Option<Child>,
    address: SocketAddr,
    authorization: String,
}

impl Service {
    pub(super) fn start(config: &ConfigArgs) -> Result<Self, CommandError> {
        let password = random_password()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--set", "log.level=error"])
            .args(config.as_flags())
            .env("FACEGATE_USER", "bench")
            .env("FACEGATE_PASSWORD", &password)
            .stdout(Stdio::piped())
            .spawn()?;
        let failed = || CommandError::new("the service did not start");
        let lines = BufReader::new(child.stdout.take().ok_or_else(failed)?).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("facegate listens on http://").and_then(|text| text.parse().ok()))
            .ok_or_else(failed)?;
        let mut service = Self::running(address, &format!("bench:{password}"));
        service.child = Some(child);
        Ok(service)
    }

    pub(super) fn running(address: SocketAddr, login: &str) -> Self {
        let login = base64_simd::STANDARD.encode_to_string(login);
        Self { child: None, address, authorization: format!("Basic {login}") }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails when it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(super) fn over_http(
    args: &BenchArgs,
    service: Service,
    pictures: &[(String, Vec<u8>)],
) -> Result<Vec<Figures>, CommandError> {
    let service = Arc::new(service);
    // Of a peer only the answers are seen.
    let process = service.child.as_ref().map(|child| child.id().to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut all = Vec::new();
    for (name, bytes) in pictures {
        let image = base64_simd::STANDARD.encode_to_string(bytes);
        let body = Bytes::from(format!("{{\"sessionId\":\"bench\",\"faceImageBase\":\"{image}\"}}"));
        let outcome = runtime.block_on(async { send(&mut connect(service.address).await?, &service, &body).await })?;
        let cpu = process.as_deref().and_then(process_cpu);
        let begin = Instant::now();
        let end = begin + Duration::from_secs_f64(args.seconds);
        let mut callers = JoinSet::new();
        let runs = Load { service: Arc::clone(&service), body, outcome: outcome.clone(), end };
        for _ in 0..args.in_flight.max(1) {
            callers.spawn_on(runs.clone().call(), runtime.handle());
        }
        let (mut times, mut refused) = (Vec::new(), 0);
        while let Some(caller) = runtime.block_on(callers.join_next()) {
            let (done, shed) = caller??;
            times.extend(done);
            refused += shed;
        }
        let cpu = cpu.zip(process.as_deref().and_then(process_cpu)).map(|(before, after)| after.saturating_sub(before));
        let outcome = if refused > 0 { format!("{outcome} ({refused} shed)") } else { outcome };
        all.push(summary(name, &outcome, times, begin.elapsed(), cpu, process.as_deref().and_then(peak_memory_mb)));
    }
    Ok(all)
}

/// One caller of many.
#[derive(Clone)]
struct Load {
    service: Arc<Service>,
    body: Bytes,
    outcome: String,
    end: Instant,
}

impl Load {
    /// Sends one request after the other; the times of those that were answered like the first, and how many were not.
    async fn call(self) -> Result<(Vec<f64>, usize), CommandError> {
        let mut connection = connect(self.service.address).await?;
        let (mut times, mut shed) = (Vec::new(), 0);
        while Instant::now() < self.end {
            let begin = Instant::now();
            if send(&mut connection, &self.service, &self.body).await? == self.outcome {
                times.push(begin.elapsed().as_secs_f64() * 1e3);
            } else {
                shed += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok((times, shed))
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr) -> Result<Sender, CommandError> {
    #[expect(clippy::disallowed_methods, reason = "an address, and nobody waits for this program but its user")]
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender.
    tokio::spawn(async move { connection.await.map_err(std::io::Error::other) });
    Ok(sender)
}

/// Sends one request; `OK`, the error's word, or the status of what is no 200.
async fn send(sender: &mut Sender, service: &Service, body: &Bytes) -> Result<String, CommandError> {
    sender.ready().await?;
    let request = Request::post(DETECT)
        .header(header::HOST, "bench")
        .header(header::AUTHORIZATION, &service.authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.clone()))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let text = response.into_body().collect().await?.to_bytes();
    if status != 200 {
        return Ok(status.to_string());
    }
    let answer: serde_json::Value = serde_json::from_slice(&text)?;
    Ok(answer["error"].as_str().unwrap_or("OK").to_owned())
}
