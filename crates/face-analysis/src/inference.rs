//! The only file that names ONNX Runtime.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ort::environment::Environment;
use ort::ep::CPU;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionOutputs};
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

/// One loaded network. Requests run side by side, each on its own networks, so each network uses one thread:
/// a second thread inside one inference buys 1.2 to 1.7 times on two cores (MODELS.md), a second request 2 times.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
    session: Session,
    clock: Clock,
}

impl Network {
    pub(crate) fn load(runtime: &Runtime, path: &Path, clock: &Clock) -> Result<Self, InferenceError> {
        let failed = |reason: String| InferenceError::Model { path: path.to_owned(), reason };
        let session = Session::builder(&runtime.environment)
            .map_err(|e| failed(e.to_string()))?
            .with_intra_threads(1)
            .map_err(|e| failed(e.to_string()))?
            .with_inter_threads(1)
            .map_err(|e| failed(e.to_string()))?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(|e| failed(e.to_string()))?
            .with_execution_providers([CPU::default().with_arena_allocator(false).build()])
            .map_err(|e| failed(e.to_string()))?
            .commit_from_file(path)
            .map_err(|e| failed(e.to_string()))?;
        let name = path.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(Self { name, session, clock: clock.clone() })
    }

    /// Runs the network on one float tensor in row-major layout, given as the network's only input.
    pub(crate) fn run(&mut self, shape: [usize; 4], values: &[f32]) -> Result<Outputs<'_>, InferenceError> {
        let failed = |name: &str, reason: String| InferenceError::Run { network: name.to_owned(), reason };
        let input = TensorRef::from_array_view((shape, values)).map_err(|e| failed(&self.name, e.to_string()))?;
        let begin = Instant::now();
        let values = self.session.run(ort::inputs![input]).map_err(|e| failed(&self.name, e.to_string()))?;
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
