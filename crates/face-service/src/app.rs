//! The routes and what happens to a detect request, in order: who, how large, what, which picture, analysis.

mod answer;
mod asked;
mod body;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, Response, StatusCode, Uri};
use axum::middleware;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use face_analysis::{AnalysisError, FaceAnalyzer, HeadError, HeadName, Wanted};
use tokio::sync::oneshot;

use self::asked::Asked;
use super::admission::Admission;
use super::analysts::{Analysts, fault};
use super::audit::Audit;
use super::auth::Authenticator;
use super::contract::{DetectRequest, FaceImagePlace, Problem, outcome, overloaded};
use super::envelope::{finish, not_allowed, read_only};
use super::link::LinkFetcher;
use super::metrics::Metrics;
use super::paths::{DETECT, METRICS};
use super::proxies::{Network, caller};
use super::rate_limit::RateLimit;
use super::settings::ServiceSettings;
use super::source::Source;
use super::standing::Standing;
use super::traces::{TraceError, Traces};
use super::trail::{ANALYSIS, Ending, Trail};
use super::{openapi, page};

/// The service cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit log.
    #[error("the audit log cannot be opened: {}: {source} (audit.file)", path.display())]
    Audit {
        /// Where it is to be.
        path: PathBuf,
        /// Why it cannot be.
        source: io::Error,
    },
    /// The spans.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// The threads.
    #[error("the threads that analyse cannot be set up: {0}")]
    Threads(io::Error),
}

/// What all requests share.
#[derive(Debug)]
pub struct App {
    /// Empty until the networks are loaded and have run once.
    analyzer: OnceLock<Arc<FaceAnalyzer>>,
    stopping: AtomicBool,
    links: LinkFetcher,
    users: Arc<Authenticator>,
    proxies: Vec<Network>,
    rate: RateLimit,
    audit: Option<Audit>,
    admission: Admission,
    analysts: Analysts,
    metrics: Metrics,
    traces: Option<Traces>,
    deadline: Duration,
    max_body: usize,
    max_image: usize,
    body_timeout: Duration,
    min_body_rate: u64,
    face_image: FaceImagePlace,
    playground: bool,
}

impl App {
    /// The service before its networks are loaded; it may run `workers` analyses side by side.
    pub fn new(settings: &ServiceSettings, users: Arc<Authenticator>, workers: usize) -> Result<Self, StartError> {
        let server = &settings.server;
        users.share_logins(settings.shares.logins);
        let audit = &settings.audit;
        let open = |path: &PathBuf| {
            Audit::open(path, audit.max_bytes, audit.keep)
                .map_err(|source| StartError::Audit { path: path.clone(), source })
        };
        let audit = audit.file.as_ref().map(open).transpose()?;
        let admission = Admission::new(settings, workers);
        Ok(Self {
            analyzer: OnceLock::new(),
            stopping: AtomicBool::new(false),
            links: LinkFetcher::new(settings.links.clone(), settings.shares.links).map_err(StartError::Threads)?,
            users,
            proxies: server.trusted_proxies.clone(),
            rate: RateLimit::new(settings.requests_per_minute),
            audit,
            metrics: Metrics::new(&admission),
            traces: Traces::start(&settings.traces)?,
            admission,
            analysts: Analysts::new(workers).map_err(StartError::Threads)?,
            deadline: Duration::from_millis(server.deadline_ms),
            max_body: server.max_body_bytes,
            max_image: server.max_image_bytes,
            body_timeout: Duration::from_millis(server.body_timeout_ms),
            min_body_rate: server.min_body_rate,
            face_image: settings.response.face_image,
            playground: server.playground,
        })
    }

    /// Runs `work` on a thread that will analyse, so that the memory it leaves behind is used again.
    pub fn prepare<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        self.analysts.begin(|_| work())
    }

    /// How a thread gives its free memory back to the system: one that analyses some time after large pictures, one that
    /// checks a password after each.
    pub fn give_back_with(&self, how: fn()) {
        self.users.give_back_with(how);
        self.analysts.give_back_with(how);
    }

    /// What says how many lines of the log are lost by now, for the metrics.
    pub fn count_dropped_lines(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        self.metrics.count_dropped_lines(count);
    }

    /// Takes the loaded networks into service: from now on `/readyz` answers 200.
    pub fn install(&self, analyzer: Arc<FaceAnalyzer>) {
        self.metrics.set_analyzer(Arc::clone(&analyzer));
        self.name_head(analyzer.head().as_ref());
        // Set once; a second analyzer would be dropped.
        let _ = self.analyzer.set(analyzer);
        self.metrics.set_ready(true);
    }

    /// Whether the networks are loaded.
    pub fn is_loaded(&self) -> bool {
        self.analyzer.get().is_some()
    }

    /// Reads the operator's own liveness head again; `None` when none is configured or the networks are still being loaded.
    ///
    /// # Errors
    ///
    /// When the head cannot be used; the one in use stays.
    pub fn reload_head(&self) -> Result<Option<HeadName>, HeadError> {
        let Some(analyzer) = self.analyzer.get() else { return Ok(None) };
        let head = analyzer.reload_head()?;
        self.name_head(head.as_ref());
        Ok(head)
    }

    fn name_head(&self, head: Option<&HeadName>) {
        self.metrics.set_head(head);
        if let Some(audit) = &self.audit {
            audit.set_head(head);
        }
    }

    /// From now on `/readyz` answers 503, so that no new requests are sent here.
    pub fn stop(&self) {
        // The gauge first: whoever has seen a probe fail reads that the service is not ready.
        self.metrics.set_ready(false);
        self.stopping.store(true, Ordering::Release);
    }

    /// Waits for what is still to be written down about the requests that were answered.
    pub async fn finish(&self) {
        if let Some(audit) = &self.audit {
            audit.finish().await;
        }
    }

    fn analyzer(&self) -> Result<&Arc<FaceAnalyzer>, Problem> {
        let loading = || overloaded("not_ready", "the networks are still being loaded: try again in a moment");
        self.analyzer.get().ok_or_else(loading)
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        let router = health(Router::new().route(DETECT, post(detect).fallback(wrong_method)));
        let router = openapi::routes(router);
        let router = if self.playground { page::routes(router) } else { router };
        router.fallback(unknown_path).layer(middleware::from_fn_with_state(self.max_body, finish)).with_state(self)
    }

    /// The routes of the listener for Prometheus and for probes, which no stranger's connections keep from it.
    pub fn metrics_router(self: Arc<Self>) -> Router {
        let scrape = async |State(app): State<Arc<Self>>| app.metrics.scrape();
        let router = health(Router::new().route(METRICS, get(scrape).fallback(read_only))).fallback(no_metrics);
        router.layer(middleware::from_fn_with_state(self.max_body, finish)).with_state(self)
    }
}

/// Adds what probes ask.
fn health(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/healthz", get(|| async { "ok\n" }).fallback(read_only))
        .route("/readyz", get(ready).fallback(read_only))
}

async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    if app.stopping.load(Ordering::Acquire) {
        let message = "the service is shutting down: send requests to another instance, or again when it is back";
        return overloaded("stopping", message).into_response(None);
    }
    match app.analyzer() {
        Ok(_) => "ready\n".into_response(),
        Err(problem) => problem.into_response(None),
    }
}

async fn wrong_method(method: Method) -> Response<Body> {
    not_allowed(&method, "POST")
}

async fn unknown_path(_: Uri) -> Response<Body> {
    let message = format!("there is nothing at this path: send POST {DETECT}");
    Problem::new(StatusCode::NOT_FOUND, "path_unknown", message).into_response(None)
}

async fn no_metrics() -> Response<Body> {
    let message = format!("there is nothing at this path: the metrics are at {METRICS}");
    Problem::new(StatusCode::NOT_FOUND, "path_unknown", message).into_response(None)
}

async fn detect(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let mut asked = Asked::new(Arc::clone(&app));
    let traced = app.traces.as_ref().map(|traces| (traces, traces.parent(request.headers())));
    let result = match tokio::time::timeout(app.deadline, app.answer(peer, request, &mut asked.trail)).await {
        Ok(result) => result,
        Err(_) => Err(too_late(app.deadline)),
    };
    let (response, outcome, code) = match result {
        Ok((response, word)) => (response, word, ""),
        Err(problem) => {
            let code = problem.code;
            (problem.into_response(asked.trail.session_id.as_deref()), "INTERNAL_ERROR", code)
        }
    };
    let ending = Ending { status: response.status().as_u16(), outcome, code };
    app.metrics.request(&asked.trail, ending, asked.trail.begin.elapsed());
    // Only a user's word counts for what is traced, no stranger's.
    let trace_id = traced.map(|(traces, parent)| {
        let parent = if asked.trail.user.is_some() { parent } else { Default::default() };
        traces.request(&parent, &asked.trail, ending)
    });
    asked.end(ending, trace_id).await;
    response
}

impl App {
    async fn answer(
        self: &Arc<Self>,
        peer: SocketAddr,
        request: Request,
        trail: &mut Trail,
    ) -> Result<(Response<Body>, &'static str), Problem> {
        let (parts, body) = request.into_parts();
        let standing = parts.extensions.get::<Arc<Standing>>();
        let entry = async {
            let address = caller(peer.ip(), &parts.headers, &self.proxies);
            // Until he is let in, also when that is broken off.
            trail.stranger = Some(address);
            let authenticated = self.users.authenticate(&parts.headers, address);
            let user = trail.time("authenticate", authenticated).await?;
            trail.stranger = None;
            let user = trail.user.insert(user);
            self.rate.admit(user)?;
            if let Some(standing) = standing {
                standing.let_in();
            }
            let guest = self.admission.guest(user, self.users.count() == 1);
            let length = self.check_headers(&parts.headers)?;
            let analyzer = self.analyzer()?;
            self.admission.check(&guest).await?;
            Ok::<_, Problem>((analyzer, guest, length))
        };
        let (analyzer, guest, length) = entry.await?;
        let mut body = trail.time("read", self.read(body, self.admission.buffer(&guest, length), standing)).await?;
        let request = DetectRequest::parse(&body).map_err(|error| {
            trail.session_id = error.session_id;
            *error.problem
        })?;
        trail.session_id = Some(request.session_id.into_owned());
        let wanted = Wanted { face_image: request.return_face_image, details: request.return_details };
        let text = request.face_image_base;
        let (picture, part) = match Source::read(&mut body, text, self.max_image)? {
            Source::Bytes(part) => (body, part),
            Source::Link(link) => {
                let (followed, buffer) = (self.admission.link(&guest)?, self.admission.buffer(&guest, self.max_image));
                let link = str::from_utf8(&body[link]).unwrap_or_default();
                let fetched = self.links.fetch(link, buffer, guest.is_alone(), followed);
                let picture = trail.time("fetch", fetched).await;
                self.metrics.fetched(&picture);
                let picture = picture?;
                // With the link, which may carry a secret.
                drop(body);
                let part = 0..picture.len();
                (picture, part)
            }
        };
        let place = self.admission.enter(&guest).await?;
        let turn = trail.time("queue", self.admission.turn(place)).await?;
        let (analyzer, admission) = (Arc::clone(analyzer), self.admission.clone());
        let (session_id, place) = (trail.session_id.clone().unwrap_or_default(), self.face_image);
        // The analysis keeps its worker, its place and its memory until it is done, whoever still waits for it. The answer is
        // made there too, so that no more of them are made at a time.
        let working = self.analysts.run(turn, move |leftovers| {
            let analysis = analyzer.analyze(&picture[part], wanted).map_err(|error| refused(&error))?;
            leftovers.of(analysis.pixels);
            // The answer may need its memory.
            drop(picture);
            let response = answer::answer(&session_id, &analysis, place, &admission, &guest)?;
            Ok::<_, Problem>((analysis, response))
        });
        let (analysis, response) = trail.time(ANALYSIS, working).await??;
        trail.analysed(&analysis);
        Ok((response, outcome(&analysis)))
    }
}

fn too_late(deadline: Duration) -> Problem {
    let message = format!("the request was not done within {} ms: try again in a moment", deadline.as_millis());
    overloaded("deadline_exceeded", message)
}

fn refused(error: &AnalysisError) -> Problem {
    if error.is_fault() {
        tracing::error!(%error, "an analysis failed");
        return fault(error.code());
    }
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string())
}
