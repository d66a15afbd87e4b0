//! Requests over HTTP, to the service as a process of its own or to a peer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use face_service::auth::random_password;
use face_service::paths::DETECT;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::{CommandError, ConfigArgs};
use super::BenchArgs;
use super::figures::{Figures, summary};
use super::process::{peak_memory_mb, process_cpu};
use crate::config::Config;

/// A child process, stopped when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The service under load.
pub(super) struct Service {
    /// Its process when it is our child.
    child: Option<Running>,
    address: SocketAddr,
    authorization: String,
}

impl Service {
    /// Starts it with the configuration that `flags` and the environment give, which is `config`.
    pub(super) fn start(flags: &ConfigArgs, config: &Config) -> Result<Self, CommandError> {
        if config.server.tls_certificate.is_some() || config.server.tls_key.is_some() {
            let advice = "leave out server.tls_certificate and server.tls_key";
            return Err(CommandError::new(format!("bench --http measures without TLS: {advice}")));
        }
        if config.auth.users_file.is_some() {
            let advice = "leave out auth.users_file, or measure a running service with --peer and --peer-login";
            return Err(CommandError::new(format!("bench --http knows no password of the users file: {advice}")));
        }
        // They would stand among those that somebody has made.
        let kept = [("audit.file", config.audit.file.is_some()), ("traces.endpoint", config.traces.endpoint.is_some())];
        if let Some((name, _)) = kept.into_iter().find(|(_, is_set)| *is_set) {
            return Err(CommandError::new(format!("the requests of bench --http are nobody's: leave out {name}")));
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--set", "log.level=error"]).args(flags.as_flags());
        let login = if let (Some(user), Some(password)) = (&config.auth.user, &config.auth.password) {
            format!("{user}:{password}")
        } else {
            let password = random_password()?;
            command.env("FACEGATE_USER", "bench").env("FACEGATE_PASSWORD", &password);
            format!("bench:{password}")
        };
        let mut child = Running(command.stdout(Stdio::piped()).spawn()?);
        let failed = || CommandError::new("the service did not start");
        let lines = BufReader::new(child.0.stdout.take().ok_or_else(failed)?).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("facegate listens on ").map(ToOwned::to_owned))
            .and_then(|url| url.strip_prefix("http://")?.parse().ok())
            .ok_or_else(failed)?;
        Ok(Self { child: Some(child), ..Self::running(address, &login) })
    }

    pub(super) fn running(address: SocketAddr, login: &str) -> Self {
        let login = base64_simd::STANDARD.encode_to_string(login);
        Self { child: None, address, authorization: format!("Basic {login}") }
    }
}

pub(super) fn over_http(
    args: &BenchArgs,
    service: Service,
    pictures: &[(String, Vec<u8>)],
) -> Result<Vec<Figures>, CommandError> {
    let service = Arc::new(service);
    // Of a peer only the answers are seen.
    let process = service.child.as_ref().map(|child| child.0.id().to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut all = Vec::new();
    for (name, bytes) in pictures {
        let image = base64_simd::STANDARD.encode_to_string(bytes);
        let body = Bytes::from(format!("{{\"sessionId\":\"bench\",\"faceImageBase\":\"{image}\"}}"));
        // A refusal for good is told at once; a service that is busy may have time for some.
        if let Reply::Refusal { reason, lasting: true } =
            runtime.block_on(async { send(&mut connect(service.address).await?, &service, &body).await })?
        {
            return Err(unanswered(name, &reason));
        }
        let cpu = process.as_deref().and_then(process_cpu);
        let begin = Instant::now();
        let end = begin + Duration::from_secs_f64(args.seconds);
        let mut callers = JoinSet::new();
        let load = Load { service: Arc::clone(&service), body, end };
        for _ in 0..args.in_flight {
            callers.spawn_on(load.clone().call(), runtime.handle());
        }
        let mut tally = Tally::default();
        while let Some(caller) = runtime.block_on(callers.join_next()) {
            tally.add(caller??);
        }
        let wall = begin.elapsed();
        let cpu = cpu.zip(process.as_deref().and_then(process_cpu)).map(|(before, after)| after.saturating_sub(before));
        let refused = tally.refused();
        let Some((outcome, times)) = tally.times.into_iter().max_by_key(|(_, times)| times.len()) else {
            return Err(unanswered(name, &refused));
        };
        let outcome = if refused.is_empty() { outcome } else { format!("{outcome} (refused: {refused})") };
        all.push(summary(name, &outcome, times, wall, cpu, process.as_deref().and_then(peak_memory_mb)));
    }
    Ok(all)
}

/// How fast a service refuses is no figure.
fn unanswered(picture: &str, refusals: &str) -> CommandError {
    let advice = if refusals.contains("401") { "; --peer-login takes the peer's USER:PASSWORD" } else { "" };
    CommandError::new(format!("{picture}: no request was answered with 200, but {refusals}{advice}"))
}

/// What came back of all requests.
#[derive(Default)]
struct Tally {
    /// Milliseconds of those that were answered with 200, by outcome.
    times: BTreeMap<String, Vec<f64>>,
    /// How many were not, by status and code.
    refusals: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        other.times.into_iter().for_each(|(outcome, times)| self.times.entry(outcome).or_default().extend(times));
        other.refusals.into_iter().for_each(|(reason, count)| *self.refusals.entry(reason).or_default() += count);
    }

    /// Such as `3 times 503 Service Unavailable, queue_full`; empty when none was.
    fn refused(&self) -> String {
        let each = self.refusals.iter().map(|(reason, count)| format!("{count} times {reason}"));
        each.collect::<Vec<_>>().join("; ")
    }
}

/// One caller of many.
#[derive(Clone)]
struct Load {
    service: Arc<Service>,
    body: Bytes,
    end: Instant,
}

impl Load {
    /// Sends one request after the other, at least one.
    async fn call(self) -> Result<Tally, CommandError> {
        let mut connection = connect(self.service.address).await?;
        let mut tally = Tally::default();
        loop {
            let begin = Instant::now();
            match send(&mut connection, &self.service, &self.body).await? {
                Reply::Answer(outcome) => {
                    tally.times.entry(outcome).or_default().push(begin.elapsed().as_secs_f64() * 1e3);
                }
                Reply::Refusal { reason, .. } => {
                    *tally.refusals.entry(reason).or_default() += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            if Instant::now() >= self.end {
                return Ok(tally);
            }
        }
    }
}

/// What came back of one request.
enum Reply {
    /// 200, with `OK` or the error's word.
    Answer(String),
    /// Another status, with the code of the answer if it has one.
    Refusal {
        reason: String,
        /// Whether the same request will always be refused.
        lasting: bool,
    },
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr) -> Result<Sender, CommandError> {
    #[expect(clippy::disallowed_methods, reason = "an address, and nobody waits for this program but its user")]
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| CommandError::new(format!("cannot connect to {address}: {error}")))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender.
    tokio::spawn(async move { connection.await.map_err(std::io::Error::other) });
    Ok(sender)
}

/// Sends one request.
async fn send(sender: &mut Sender, service: &Service, body: &Bytes) -> Result<Reply, CommandError> {
    sender.ready().await?;
    let request = Request::post(DETECT)
        .header(header::HOST, "bench")
        .header(header::AUTHORIZATION, &service.authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.clone()))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let text = response.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        // Another program's answer may be anything.
        let answer: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let code = answer["errorDetail"]["code"].as_str().map(|code| format!(", {code}")).unwrap_or_default();
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        let lasting = status.is_client_error() && !passing;
        return Ok(Reply::Refusal { reason: format!("{status}{code}"), lasting });
    }
    let answer: serde_json::Value = serde_json::from_slice(&text)?;
    Ok(Reply::Answer(answer["error"].as_str().unwrap_or("OK").to_owned()))
}
