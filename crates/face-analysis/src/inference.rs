//! The only file that names ONNX Runtime.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ort::environment::Environment;
use ort::ep::CPU;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{InMemorySession, Session, SessionOutputs};
use ort::value::TensorRef;

/// A network could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// ONNX Runtime's shared library is missing or too old.
    #[error("cannot load ONNX Runtime from {path}: {reason}")]
    Library {
        /// Where it was looked for.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// A model file is missing, damaged or not what the pipeline expects.
    #[error("cannot load the network {path}: {reason}")]
    Model {
        /// The model file.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// A run failed.
    #[error("the network {network} failed: {reason}")]
    Run {
        /// The model file's name.
        network: String,
        /// What ONNX Runtime said.
        reason: String,
    },
}

/// ONNX Runtime, loaded once in a process.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    environment: Environment,
}

impl Runtime {
    /// Loads the shared library. A process has one: later calls return the first, whatever their path.
    pub(crate) fn load(library: &Path) -> Result<Self, InferenceError> {
        static LOADED: OnceLock<Result<Runtime, String>> = OnceLock::new();
        LOADED
            .get_or_init(|| {
                let environment = ort::init_from(library)
                    .map_err(|e| e.to_string())?
                    .with_telemetry(false)
                    .build()
                    .map_err(|e| e.to_string())?;
                Ok(Self { environment })
            })
            .clone()
            .map_err(|reason| InferenceError::Library { path: library.to_owned(), reason })
    }
}

/// Adds up how long the networks of one engine have run: the part of an analysis that is ONNX Runtime's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    nanoseconds: Arc<AtomicU64>,
}

impl Clock {
    fn add(&self, time: Duration) {
        self.nanoseconds.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The time since the last call.
    pub(crate) fn take(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.swap(0, Ordering::Relaxed))
    }
}

/// A network made ready for this machine once, from which any number of [`Network`]s are loaded.
///
/// ONNX Runtime optimises a graph when it loads it, and keeps its own copy of the weights. Optimised once and kept in its
/// own format, the graph loads in half the time and all of its networks read the same weights.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    runtime: Runtime,
    path: PathBuf,
    /// `None` where there is no file in memory to be had: then each network is optimised anew.
    optimised: Option<Arc<Vec<u8>>>,
}

impl Blueprint {
    pub(crate) fn draw(runtime: &Runtime, path: &Path) -> Result<Self, InferenceError> {
        let optimise = |target: &Path| -> Result<(), ort::Error> {
            options(runtime)?
                .with_config_entry("session.save_model_format", "ORT")?
                .with_optimized_model_path(target)?
                // It warns that what it writes is for this kind of processor only.
                .with_log_level(LogLevel::Error)?
                .commit_from_file(path)
                .map(drop)
        };
        let optimised = written_to_memory(optimise)
            .map_err(|e| InferenceError::Model { path: path.to_owned(), reason: e.to_string() })?;
        Ok(Self { runtime: runtime.clone(), path: path.to_owned(), optimised: optimised.map(Arc::new) })
    }
}

/// What `write` writes to the path that it is given. It names a file without a place on any disk; `None` when the system
/// has no such thing.
#[cfg(target_os = "linux")]
fn written_to_memory<E>(write: impl FnOnce(&Path) -> Result<(), E>) -> Result<Option<Vec<u8>>, E> {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    let Ok(file) = rustix::fs::memfd_create("network", rustix::fs::MemfdFlags::CLOEXEC) else { return Ok(None) };
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if !path.exists() {
        return Ok(None);
    }
    write(&path)?;
    let mut bytes = Vec::new();
    let read = File::from(file).read_to_end(&mut bytes);
    Ok((read.is_ok() && !bytes.is_empty()).then_some(bytes))
}

#[cfg(not(target_os = "linux"))]
fn written_to_memory<E>(_write: impl FnOnce(&Path) -> Result<(), E>) -> Result<Option<Vec<u8>>, E> {
    Ok(None)
}

fn options(runtime: &Runtime) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(&runtime.environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_execution_providers([CPU::default().with_arena_allocator(false).build()])?)
}

self_cell::self_cell! {
    /// A session together with the bytes that it goes on reading.
    struct Shared {
        owner: Arc<Vec<u8>>,
        #[not_covariant]
        dependent: InMemorySession,
    }
}

/// A session with weights of its own, or with weights that it shares.
enum Loaded {
    Own(Session),
    Shared(Shared),
}

/// One loaded network. Requests run side by side, each on its own networks, so each network uses one thread:
/// a second thread inside one inference buys 1.2 to 1.7 times on two cores (when it was chosen), a second request 2 times.
pub(crate) struct Network {
    name: String,
    session: Loaded,
    clock: Clock,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Network {
    pub(crate) fn load(blueprint: &Blueprint, clock: &Clock) -> Result<Self, InferenceError> {
        let Blueprint { runtime, path, optimised } = blueprint;
        let session = match optimised {
            Some(bytes) => {
                Shared::try_new(Arc::clone(bytes), |bytes| options(runtime)?.commit_from_memory_directly(bytes))
                    .map(Loaded::Shared)
            }
            None => options(runtime).and_then(|mut options| options.commit_from_file(path)).map(Loaded::Own),
        };
        let session = session.map_err(|e| InferenceError::Model { path: path.clone(), reason: e.to_string() })?;
        let name = path.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(Self { name, session, clock: clock.clone() })
    }

    /// Runs the network on one float tensor in row-major layout, given as the network's only input.
    pub(crate) fn run(&mut self, shape: [usize; 4], values: &[f32]) -> Result<Outputs<'_>, InferenceError> {
        let failed = |name: &str, reason: String| InferenceError::Run { network: name.to_owned(), reason };
        let input = TensorRef::from_array_view((shape, values)).map_err(|e| failed(&self.name, e.to_string()))?;
        let begin = Instant::now();
        let values = match &mut self.session {
            Loaded::Own(session) => session.run(ort::inputs![input]),
            Loaded::Shared(cell) => cell.with_dependent_mut(|_, session| session.run(ort::inputs![input])),
        };
        let values = values.map_err(|e| failed(&self.name, e.to_string()))?;
        self.clock.add(begin.elapsed());
        Ok(Outputs { network: &self.name, values })
    }
}

/// The outputs of one run.
pub(crate) struct Outputs<'s> {
    network: &'s str,
    values: SessionOutputs<'s>,
}

impl Outputs<'_> {
    /// The float tensor `name`, flattened in row-major order.
    pub(crate) fn get(&self, name: &str) -> Result<&[f32], InferenceError> {
        let failed = |reason: String| InferenceError::Run { network: self.network.to_owned(), reason };
        let value = self.values.get(name).ok_or_else(|| failed(format!("it has no output {name}")))?;
        let (_, values) = value.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of a network that was optimised once and shares its weights are those of the file itself, to the bit.
    #[test]
    fn networks_that_share_their_weights_answer_as_one_with_its_own() {
        let files = testkit::models();
        let runtime = Runtime::load(&files.onnx_runtime).expect("ONNX Runtime");
        let input: Vec<f32> = (0..3 * 80 * 80).map(|i| (i * 37 % 256) as f32).collect();
        let answer = |blueprint: &Blueprint| {
            let mut network = Network::load(blueprint, &Clock::default()).expect("a network");
            let outputs = network.run([1, 3, 80, 80], &input).expect("runs");
            outputs.get("probabilities").expect("an answer").to_vec()
        };
        let shared = Blueprint::draw(&runtime, &files.liveness_v2).expect("a network");
        assert_eq!(shared.optimised.is_some(), cfg!(target_os = "linux"));
        let own = Blueprint { optimised: None, ..shared.clone() };
        assert_eq!(answer(&shared), answer(&own));
        assert_eq!(answer(&shared), answer(&shared));
    }
}
