//! What Prometheus reads at `/metrics`.
//!
//! Labels are words of our own, never the caller's: their number is bounded. Counting a request takes no allocation.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use face_analysis::report::{MODELS, ModelInfo};
use face_analysis::{FaceAnalyzer, HeadName};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::admission::Admission;
use super::contract::{Problem, error_words};
use super::trail::{Ending, STAGES, Trail};

/// Upper bounds in seconds, from an answer without work to the default deadline; closest where an analysis ends.
const REQUEST_BUCKETS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Upper bounds in seconds: most stages take milliseconds, the wait for a link or a worker up to ten seconds.
const STAGE_BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of the liveness score; one is the operating threshold.
const LIVENESS_BUCKETS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Word {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageName {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchResult {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    job: &'static str,
    name: String,
    version: String,
}

impl From<ModelInfo> for Model {
    fn from(model: ModelInfo) -> Self {
        Self { job: model.job, name: model.name.into_owned(), version: model.version.into_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    os: &'static str,
    arch: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of one service.
pub struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    durations: Histograms<Word>,
    stages: Histograms<StageName>,
    sheds: Family<Reason, Counter>,
    fetches: Family<FetchResult, Counter>,
    liveness: Histogram,
    ready: Gauge,
    analyzer: Arc<OnceLock<Arc<FaceAnalyzer>>>,
    models: Family<Model, Gauge>,
    head: Mutex<Option<Model>>,
    dropped_lines: DroppedLines,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The metrics of a service that lets requests in by `admission`.
    pub fn new(admission: &Admission) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Outcome, Counter>::default();
        let durations = Histograms::<Word>::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS));
        let stages = Histograms::<StageName>::new_with_constructor(|| Histogram::new(STAGE_BUCKETS));
        let sheds = Family::<Reason, Counter>::default();
        let fetches = Family::<FetchResult, Counter>::default();
        let liveness = Histogram::new(LIVENESS_BUCKETS);
        let ready = Gauge::default();
        let own = registry.sub_registry_with_prefix("facegate");
        own.register("requests", "Detect requests answered, by outcome word and HTTP status", requests.clone());
        own.register_with_unit(
            "request_duration",
            "Time from the header of a detect request to its answer",
            Unit::Seconds,
            durations.clone(),
        );
        own.register_with_unit(
            "stage_duration",
            "Time of each stage of a detect request; `analysis` is the sum of those from decode on",
            Unit::Seconds,
            stages.clone(),
        );
        own.register("sheds", "Detect requests answered 429 or 503, by errorDetail.code", sheds.clone());
        own.register("link_fetches", "Pictures fetched from links: ok, or the errorDetail.code", fetches.clone());
        own.register("liveness_score", "passiveLivenessScore of accepted faces", liveness.clone());
        own.register(
            "ready",
            "1 once the networks are loaded and have run, 0 before and while stopping",
            ready.clone(),
        );
        let build =
            Build { version: env!("CARGO_PKG_VERSION"), os: std::env::consts::OS, arch: std::env::consts::ARCH };
        own.register("build_info", "The program, always 1", constant([build]));
        let models = constant(MODELS.map(Model::from));
        own.register("model_info", "The networks and the operator's own liveness head, always 1", models.clone());
        registry.register_collector(Box::new(Load(admission.clone())));
        registry.register_collector(Box::new(ProcessFigures));
        let analyzer = Arc::default();
        registry.register_collector(Box::new(Cells(Arc::clone(&analyzer))));
        let dropped_lines = DroppedLines::default();
        registry.register_collector(Box::new(dropped_lines.clone()));
        // What exists from the start is seen to rise from 0: the first of a kind would be missed otherwise.
        for outcome in error_words().chain(["OK"]) {
            if outcome != "INTERNAL_ERROR" {
                drop(requests.get_or_create(&Outcome { outcome, status: 200 }));
            }
            drop(durations.get_or_create(&Word { outcome }));
        }
        drop(requests.get_or_create(&Outcome { outcome: "INTERNAL_ERROR", status: 500 }));
        for reason in
            ["queue_full", "queue_timeout", "memory_exhausted", "links_busy", "login_busy", "deadline_exceeded"]
        {
            drop(sheds.get_or_create(&Reason { reason }));
        }
        drop(fetches.get_or_create(&FetchResult { result: "ok" }));
        for stage in STAGES {
            drop(stages.get_or_create(&StageName { stage }));
        }
        Self {
            registry,
            requests,
            durations,
            stages,
            sheds,
            fetches,
            liveness,
            ready,
            analyzer,
            models,
            head: Mutex::default(),
            dropped_lines,
        }
    }

    /// Whose cells are counted.
    pub fn set_analyzer(&self, analyzer: Arc<FaceAnalyzer>) {
        // Set once, as the service's own.
        let _ = self.analyzer.set(analyzer);
    }

    /// What says how many lines of the log are lost by now.
    pub fn count_dropped_lines(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        // Set once, by who started the log.
        let _ = self.dropped_lines.0.set(Box::new(count));
    }

    /// From now on this liveness head is named, or none.
    pub fn set_head(&self, head: Option<&HeadName>) {
        let new = head.map(|head| Model::from(ModelInfo::head(head)));
        let mut current = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = current.take() {
            self.models.remove(&old);
        }
        if let Some(new) = &new {
            self.models.get_or_create(new).set(1);
        }
        *current = new;
    }

    /// Whether the service takes requests.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(ready.into());
    }

    /// Counts an answered request.
    pub fn request(&self, trail: &Trail, ending: Ending, time: Duration) {
        let Ending { outcome, status, code } = ending;
        self.requests.get_or_create(&Outcome { outcome, status }).inc();
        self.durations.get_or_create(&Word { outcome }).observe(time.as_secs_f64());
        if matches!(status, 429 | 503) {
            self.sheds.get_or_create(&Reason { reason: code }).inc();
        }
        for stage in &trail.stages {
            if let Some(time) = stage.time {
                self.stages.get_or_create(&StageName { stage: stage.name }).observe(time.as_secs_f64());
            }
        }
        if let Some(score) = trail.liveness {
            self.liveness.observe(score.into());
        }
    }

    /// Counts a link that was fetched, or why it was not.
    pub fn fetched<T>(&self, result: &Result<T, Problem>) {
        let result = result.as_ref().map_or_else(|problem| problem.code, |_| "ok");
        self.fetches.get_or_create(&FetchResult { result }).inc();
    }

    /// The answer to a scrape.
    pub fn scrape(&self) -> Response<Body> {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        let mut response = Response::new(Body::from(text));
        let media = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }
}

/// A gauge that says with its labels what there is.
fn constant<L: Clone + Eq + Hash>(all: impl IntoIterator<Item = L>) -> Family<L, Gauge> {
    let family = Family::<L, Gauge>::default();
    for labels in all {
        family.get_or_create(&labels).set(1);
    }
    family
}

fn figure(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// How much of the service's capacity is in use, read at each scrape.
#[derive(Debug)]
struct Load(Admission);

impl Collector for Load {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let load = self.0.load();
        for (name, help, value) in [
            ("facegate_workers", "Analyses that may run at the same time", load.workers),
            ("facegate_analyses_at_work", "Analyses that run now", load.at_work),
            ("facegate_queue_capacity", "Requests that may wait for a worker", load.queue),
            ("facegate_queue_length", "Requests that wait for a worker now", load.waiting),
            (
                "facegate_buffered_bytes",
                "Bytes set aside for bodies, fetched pictures and answers with a picture that arrive or are there",
                load.memory,
            ),
            ("facegate_links_in_flight", "Links that are followed now", load.links),
        ] {
            figure(&mut encoder, name, help, &ConstGauge::new(value as u64))?;
        }
        Ok(())
    }
}

/// Processes that decoded pictures and had to be ended.
#[derive(Debug)]
struct Cells(Arc<OnceLock<Arc<FaceAnalyzer>>>);

impl Collector for Cells {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let endings = self.0.get().map(|analyzer| analyzer.decoder().endings()).unwrap_or_default();
        let help = "Processes that decoded pictures and had to be ended, by reason";
        let mut family = encoder.encode_descriptor("facegate_cells_ended", help, None, MetricType::Counter)?;
        for (reason, number) in endings.by_reason() {
            ConstCounter::new(number).encode(family.encode_family(&Reason { reason })?)?;
        }
        Ok(())
    }
}

/// Lines of the log that are lost.
#[derive(Clone, Default)]
struct DroppedLines(Arc<OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>>);

impl fmt::Debug for DroppedLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DroppedLines").finish_non_exhaustive()
    }
}

impl Collector for DroppedLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let count = ConstCounter::new(self.0.get().map_or(0, |count| count()));
        let help = "Lines of the log that nobody read in time, or that could not be written";
        figure(&mut encoder, "facegate_log_lines_dropped", help, &count)
    }
}

/// The figures of the process under the names that Prometheus's client libraries give them. Linux only.
#[derive(Debug)]
struct ProcessFigures;

impl Collector for ProcessFigures {
    #[cfg(target_os = "linux")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        use procfs::WithCurrentSystemInfo as _;
        use procfs::process::{LimitValue, Process};

        // Where /proc cannot be read there are no such figures.
        let Ok((me, stat)) = Process::myself().and_then(|me| me.stat().map(|stat| (me, stat))) else { return Ok(()) };
        let ticks = procfs::ticks_per_second() as f64;
        let cpu = ConstCounter::new((stat.utime + stat.stime) as f64 / ticks);
        figure(&mut encoder, "process_cpu_seconds", "Processor time used by the process", &cpu)?;
        let open = me.fd_count().ok().map(|count| count as u64);
        let most = me.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
            LimitValue::Value(limit) => Some(limit),
            LimitValue::Unlimited => None,
        });
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", Some(stat.rss_bytes().get())),
            ("process_virtual_memory_bytes", "Virtual memory", Some(stat.vsize)),
            ("process_threads", "Threads", u64::try_from(stat.num_threads).ok()),
            ("process_open_fds", "Open file descriptors", open),
            ("process_max_fds", "File descriptors that may be open", most),
        ] {
            if let Some(value) = value {
                figure(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = ConstGauge::new(boot as f64 + stat.starttime as f64 / ticks);
            figure(&mut encoder, "process_start_time_seconds", "Unix time of the start", &start)?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn encode(&self, _: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        Ok(())
    }
}
