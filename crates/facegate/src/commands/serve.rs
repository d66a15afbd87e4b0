//! `facegate serve`: fetch what is missing, load, listen.

pub(super) mod log;
mod watched;

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use face_analysis::{FaceAnalyzer, HeadName};
use face_models::{Group, ModelStore};
use face_service::app::App;
use face_service::auth::{Authenticator, random_password};
use face_service::blocking::Pool;
use face_service::connections::{Connections, serve};
use face_service::paths::{DETECT, METRICS};
use face_service::settings::ServerSettings;
use face_service::shares::share_of;
use face_service::tls::Tls;
use image::imageops::FilterType;
use tokio::net::TcpListener;

use self::log::Log;
use self::watched::Watched;
use super::CommandError;
use super::models::fetch_with_progress;
use crate::config::{AuthConfig, Config, Loaded};
use crate::drawings::Drawings;
use crate::parallel::threads;
use crate::{models, trust};

/// Arguments of `facegate serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    service: super::ServiceArgs,
    /// Also fetch a portrait, so that the printed example works as it is.
    #[arg(long)]
    demo: bool,
}

/// Runs until SIGTERM or Ctrl-C.
pub fn run(args: &ServeArgs) -> Result<(), CommandError> {
    let loaded = args.service.load()?;
    let config = &loaded.config;
    memory(config)?;
    let log = Log::start(&config.log)?;
    forbid_core_dumps();
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    trust::check(&store)?;
    config.analysis.liveness.head.as_deref().map(trust::check_head).transpose()?;
    if args.demo {
        fetch_with_progress(&store, Group::Portrait)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(&loaded, &store, args.demo, log.dropped()))
}

async fn listen(
    loaded: &Loaded,
    store: &ModelStore,
    demo: bool,
    dropped_lines: impl Fn() -> u64 + Send + Sync + 'static,
) -> Result<(), CommandError> {
    let config = &loaded.config;
    let hangup = Hangup::watch();
    let seen = Seen::now(config);
    let (users, password) = users(&config.auth)?;
    let users = Arc::new(users);
    // Bound before the networks load: a port in use is told at once.
    let listener = TcpListener::bind(config.server.listen).await.map_err(|error| {
        CommandError::new(format!(
            "cannot listen on {}: {error}; choose another address with --listen or FACEGATE_LISTEN",
            config.server.listen
        ))
    })?;
    let metrics = metrics_listener(loaded).await?;
    let workers = threads(config.server.workers);
    let files = models::files(store)?;
    let settings = config.service();
    let app = Arc::new(App::new(&settings, Arc::clone(&users), workers)?);
    app.give_back_with(heap::give_back);
    app.count_dropped_lines(dropped_lines);
    let tls = tls(&config.server)?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && tls.is_none() {
        tracing::warn!(
            %address,
            "passwords and pictures cross the network in the clear: set server.tls_certificate and server.tls_key, or \
             put a proxy that encrypts in front"
        );
    }
    let configured = config.clone();
    let loading = app.prepare(move || -> Result<FaceAnalyzer, CommandError> {
        let analyzer = models::analyzer(&files, &configured, workers)?;
        analyzer.warm_up()?;
        // What loading used and has freed, which this thread, an analyst's, would otherwise keep while it has work.
        heap::give_back();
        Ok(analyzer)
    });
    let head = config.analysis.liveness.head.clone();
    let files = Files { users, tls: tls.clone(), head, head_due: false, app: Arc::clone(&app), seen };
    tokio::spawn(reload(files, hangup, Pool::new("reload", 1)?));
    let connections = Connections::of(&settings);
    if let Some(listener) = metrics {
        tracing::info!(address = %listener.local_addr()?, "metrics are at {METRICS}");
        // Until the program ends: how the last requests finish can be watched.
        tokio::spawn(serve(
            listener,
            Arc::clone(&app).metrics_router(),
            None,
            connections.clone(),
            std::future::pending(),
        ));
    }
    let running = Arc::clone(&app);
    let mut failed = None;
    let stop = async {
        let stop = stop_signal();
        let crashed = |_| CommandError::Message("loading the networks crashed; it has been logged".into());
        let ready = loading.await.map_err(crashed).and_then(|loaded| loaded);
        let greeted = ready.and_then(|analyzer| {
            running.install(Arc::new(analyzer));
            let picture = demo.then(|| demo_picture(&store.pictures_dir())).transpose()?;
            greet(address, config, store, password.as_deref(), picture)
        });
        if let Err(error) = greeted {
            failed = Some(error);
            return;
        }
        stop.await;
        tracing::info!("stopping: requests that have begun may finish");
        running.stop();
    };
    serve(listener, app.router(), tls, connections, stop).await?;
    running.finish().await;
    if let Some(error) = failed {
        return Err(error);
    }
    tracing::info!("stopped");
    Ok(())
}

/// The listener for Prometheus. A port that nobody chose is no reason not to start when something else has it.
async fn metrics_listener(loaded: &Loaded) -> Result<Option<TcpListener>, CommandError> {
    let metrics = &loaded.config.metrics;
    if !metrics.enabled {
        return Ok(None);
    }
    match TcpListener::bind(metrics.listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if loaded.origins.contains_key("metrics.listen") => Err(CommandError::new(format!(
            "cannot listen on {} for metrics: {error}; choose another address with metrics.listen or \
             FACEGATE_METRICS_LISTEN, or set metrics.enabled=false",
            metrics.listen
        ))),
        Err(error) => {
            tracing::warn!(
                address = %metrics.listen,
                %error,
                "there are no metrics: the address cannot be used; choose another one with metrics.listen or \
                 FACEGATE_METRICS_LISTEN, or set metrics.enabled=false"
            );
            Ok(None)
        }
    }
}

pub(super) fn tls(config: &ServerSettings) -> Result<Option<Arc<Tls>>, CommandError> {
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(Arc::new(Tls::load(certificate, key)?))),
        (None, None) => Ok(None),
        _ => {
            Err(CommandError::new("server.tls_certificate and server.tls_key belong together: one of them is missing"))
        }
    }
}

/// Refuses a memory budget in which the largest request would never find room, and be told for ever to come again.
pub(super) fn memory(config: &Config) -> Result<(), CommandError> {
    let server = &config.server;
    // A users file may get a second user at any time.
    let share = if config.auth.users_file.is_some() { config.shares.memory } else { 1.0 };
    let most = share_of(server.max_buffered_bytes, share);
    // While a link is followed the body that names it stays; as a buffer it has up to 64 KiB more than its bytes.
    let link = config.links.max_length.saturating_add(64 << 10).min(server.max_body_bytes);
    let beside = if config.links.enabled { link } else { 0 };
    let (name, bytes, beside) = [("body", server.max_body_bytes, 0), ("image", server.max_image_bytes, beside)]
        .into_iter()
        .max_by_key(|(_, bytes, beside)| bytes.saturating_add(*beside))
        .unwrap_or_default();
    let largest = bytes.saturating_add(beside);
    if most >= largest {
        return Ok(());
    }
    let least = (largest as f64 / share).ceil();
    let with_link = if beside > 0 { " beside the body with its link" } else { "" };
    Err(CommandError::new(format!(
        "one user may hold {most} bytes (server.max_buffered_bytes, times shares.memory with a users file), fewer than \
         server.max_{name}_bytes allows{with_link}: raise server.max_buffered_bytes to {least}, or lower that to {}",
        most.saturating_sub(beside)
    )))
}

/// The users, and the password that was made up when none are configured.
pub(super) fn users(config: &AuthConfig) -> Result<(Authenticator, Option<String>), CommandError> {
    match (&config.users_file, &config.user, &config.password) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            Err(CommandError::new("auth.users_file and auth.user/auth.password are both set: choose one"))
        }
        (Some(path), None, None) => Ok((Authenticator::from_file(path)?, None)),
        (None, Some(user), Some(password)) => Ok((Authenticator::single(user, password)?, None)),
        (None, None, None) => {
            let password = random_password()?;
            Ok((Authenticator::single(GENERATED_USER, &password)?, Some(password)))
        }
        (None, ..) => Err(CommandError::new("auth.user and auth.password belong together: one of them is missing")),
    }
}

/// The user that exists when none is configured.
const GENERATED_USER: &str = "facegate";

/// Says on standard output what a newcomer needs next.
fn greet(
    address: SocketAddr,
    config: &Config,
    store: &ModelStore,
    password: Option<&str>,
    picture: Option<PathBuf>,
) -> Result<(), CommandError> {
    let scheme = if config.server.tls_certificate.is_some() { "https" } else { "http" };
    let mut text = format!("\nfacegate listens on {scheme}://{address}\n");
    writeln!(text, "models:   {}", store.dir().display())?;
    let login = match (password, &config.auth.user) {
        (Some(password), _) => {
            writeln!(text, "user:     {GENERATED_USER}")?;
            writeln!(
                text,
                "password: {password}   (made up for this run; set FACEGATE_USER and FACEGATE_PASSWORD to choose)"
            )?;
            format!("{GENERATED_USER}:{password}")
        }
        (None, Some(user)) => format!("{user}:\"$FACEGATE_PASSWORD\""),
        (None, None) => "USER:PASSWORD".into(),
    };
    let picture = picture.unwrap_or_else(|| PathBuf::from("portrait.jpg"));
    writeln!(text, "\nTry it from another terminal:\n")?;
    writeln!(
        text,
        "  {{ printf '{{\"sessionId\":\"demo\",\"faceImageBase\":\"'; base64 < '{}' | tr -d '\\n'; printf '\"}}'; }} |",
        picture.display()
    )?;
    writeln!(
        text,
        "  curl -sS -u {login} -H 'Content-Type: application/json' --data-binary @- {scheme}://{address}{DETECT}\n"
    )?;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if password.is_some() => Err(CommandError::new(format!(
            "the password that was made up cannot be shown: {error}; set FACEGATE_USER and FACEGATE_PASSWORD"
        ))),
        // Nothing in it that the service needs.
        Err(error) => {
            tracing::warn!(%error, "the greeting cannot be written to standard output");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// A portrait to try the service with: the packaged one twice as large, since its pupils are only 43 pixels apart.
fn demo_picture(pictures: &Path) -> Result<PathBuf, CommandError> {
    let portrait = pictures.join("demo-portrait.jpg");
    let small = image::open(pictures.join("astronaut.png"))?.to_rgb8();
    let (width, height) = small.dimensions();
    let large = image::imageops::resize(&small, 2 * width, 2 * height, FilterType::CatmullRom);
    // Services share the folder: whoever reads the portrait while another one starts finds all of it.
    Drawings::new(&[]).save(&large, &portrait)?;
    Ok(portrait)
}

/// Memory holds pictures and passwords: no crash may leave it on a disk.
fn forbid_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
            tracing::warn!(%error, "core dumps could not be switched off");
        }
    }
    // A core pattern that pipes to a program ignores the limit. This also keeps debuggers of other processes out.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "core dumps could not be switched off");
        }
    }
}

#[cfg(unix)]
pub(super) fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).ok();
    async move {
        let terminated = async {
            match &mut terminate {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
    }
}

#[cfg(not(unix))]
pub(super) async fn stop_signal() {
    let _ = tokio::signal::ctrl_c().await;
}

/// SIGHUP, which asks for the files to be read again, where there is such a thing.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    /// From now on it is noted; before, it ends the program.
    fn watch() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    /// Waits for the next one.
    async fn asked(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Reads the users file and the certificate again when they change, and both and the liveness head on SIGHUP.
async fn reload(mut files: Files, mut hangup: Hangup, pool: Pool) {
    /// How often the files are looked at.
    const EVERY: Duration = Duration::from_secs(2);
    loop {
        let forced = tokio::select! {
            () = hangup.asked() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let looked = pool.begin((), move || {
            files.look(forced);
            files
        });
        files = match looked.await {
            Ok(files) => files,
            Err(error) => return tracing::error!(%error, "files are not read again any more: start the service anew"),
        };
    }
}

/// What is read again while the service runs.
struct Files {
    users: Arc<Authenticator>,
    tls: Option<Arc<Tls>>,
    head: Option<PathBuf>,
    /// It was asked for, and has to wait for the networks.
    head_due: bool,
    app: Arc<App>,
    seen: Seen,
}

/// The files that are read again when they change.
struct Seen {
    users: Watched,
    tls: Watched,
}

impl Seen {
    /// Before they are read for the first time: what changes after that is seen.
    fn now(config: &Config) -> Self {
        let (users, server) = (config.auth.users_file.iter(), &config.server);
        let tls = server.tls_certificate.iter().chain(&server.tls_key);
        Self { users: Watched::new(users.cloned().collect()), tls: Watched::new(tls.cloned().collect()) }
    }
}

impl Files {
    fn reload_head(&self) -> Result<Option<HeadName>, CommandError> {
        self.head.as_deref().map(trust::check_head).transpose()?;
        Ok(self.app.reload_head()?)
    }

    /// Reads again what has changed, or all when `forced`.
    fn look(&mut self, forced: bool) {
        match self.seen.users.look(forced, || self.users.reload()) {
            Some(Ok(count)) => tracing::info!(count, "the users file was read again"),
            Some(Err(error)) => tracing::error!(%error, "the users file cannot be used; the users stay as they were"),
            None => {}
        }
        self.head_due |= forced;
        if self.head_due && self.app.is_loaded() {
            self.head_due = false;
            match self.reload_head() {
                Ok(Some(head)) => {
                    tracing::info!(name = head.name, version = head.version, "the liveness head was read again")
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the liveness head cannot be used; the old one stays"),
            }
        }
        let Some(tls) = &self.tls else { return };
        match self.seen.tls.look(forced, || tls.reload()) {
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::error!(%error, "the certificate cannot be used; the old one stays"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_picture_must_fit_beside_the_body_that_names_its_link() {
        let mut config = Config::default();
        (config.server.max_body_bytes, config.server.max_image_bytes) = (1 << 20, 4 << 20);
        config.server.max_buffered_bytes = 4 << 20;
        let told = memory(&config).expect_err("no room for the body").to_string();
        let least = (4 << 20) + (64 << 10) + config.links.max_length;
        assert!(told.contains(&format!("raise server.max_buffered_bytes to {least}, ")), "{told}");
        config.server.max_buffered_bytes = least;
        assert!(memory(&config).is_ok());
        (config.links.enabled, config.server.max_buffered_bytes) = (false, 4 << 20);
        assert!(memory(&config).is_ok(), "without links nothing else is held");
    }
}
