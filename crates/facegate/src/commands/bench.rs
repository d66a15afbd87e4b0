//! `facegate bench`: what a request costs on this machine, in process or over HTTP.

mod figures;
mod in_process;
mod over_http;
mod pictures;
mod process;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use face_bulk::names::shown;
use face_models::Group;

use self::in_process::in_process;
use self::over_http::{Service, over_http};
use self::pictures::pictures;
pub use self::pictures::{SIZES, photo};
use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs, address, from_1_to, unwritable};
use crate::models;

/// Arguments of `facegate bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Pictures; without any, the packaged portrait as JPEG of 640x480, 1280x720, 1080x1920 and 4000x3000 pixels.
    pictures: Vec<PathBuf>,
    /// Seconds for each picture, more than 0 and at most a day.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, allow_negative_numbers = true)]
    seconds: f64,
    /// Analyses or requests at the same time, 1 to 1024.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = from_1_to(1_024))]
    in_flight: usize,
    /// Start the service as a process of its own and send it requests over HTTP; without TLS, users file, audit log and
    /// traces.
    #[arg(long)]
    http: bool,
    /// Send them over HTTP to a service that already runs at this address and takes the same call.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, conflicts_with = "http")]
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
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["pictures", "http", "peer"])]
    write_pictures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The longest measurement of one picture: a day.
const LONGEST: f64 = 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= LONGEST);
    number.ok_or_else(|| format!("expected a number of seconds above 0 and up to {LONGEST}"))
}

/// Measures each picture in turn and prints a table or JSON.
pub fn run(args: &BenchArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    let pictures = pictures(&args.pictures, config.server.max_image_bytes, &store)?;
    if let Some(folder) = &args.write_pictures {
        for (name, bytes) in pictures {
            let file = folder.join(format!("{name}.jpg"));
            std::fs::write(&file, bytes).map_err(|error| unwritable("--write-pictures", &file, &error))?;
        }
        return Ok(());
    }
    let figures = if let Some(address) = args.peer {
        over_http(args, Service::running(address, &args.peer_login), &pictures)?
    } else if args.http {
        over_http(args, Service::start(&args.config, &config)?, &pictures)?
    } else {
        let analyzer = models::analyzer(&models::files(&store)?, &config, args.in_flight)?;
        analyzer.warm_up()?;
        let measure = |(name, bytes): &(String, Vec<u8>)| {
            in_process(args, &analyzer, name, bytes).map_err(|error| CommandError::new(format!("{name}: {error}")))
        };
        pictures.iter().map(measure).collect::<Result<_, _>>()?
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
            shown(&f.picture),
            shown(&f.outcome),
            f.requests,
            f.requests_per_second,
            f.p50_ms,
            f.p95_ms,
            f.p99_ms,
            f.max_ms
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
