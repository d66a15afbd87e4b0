//! The networks of one analysis, and the pool that hands them out.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use liveness_head::NetworkId;
use sha2::{Digest as _, Sha256};

use crate::Settings;
use crate::age_gender::AttributeEstimator;
use crate::alignment::FaceView;
use crate::detection::{Detection, FaceFinder};
use crate::inference::{Blueprint, Clock, InferenceError, Network, Runtime};
use crate::landmarks::Landmarker;
use crate::liveness::{HeadError, HeadPlace, Liveness};
use crate::occlusion::OcclusionDetector;
use crate::pose::{FaceGeometry, GeometryError};
use crate::report::Extent;
use crate::rules::RuleConfigError;
use picture_cell::Picture;
use picture_cell::{Orientation, Pixels};

/// Where the networks and ONNX Runtime lie.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// ONNX Runtime's shared library.
    pub onnx_runtime: PathBuf,
    /// YuNet with symbolic height and width.
    pub detector: PathBuf,
    /// MiniFASNetV2.
    pub liveness_v2: PathBuf,
    /// fr_liveness, a MiniFASNet.
    pub liveness_fr: PathBuf,
    /// Our own liveness network.
    pub liveness_own: PathBuf,
    /// dlib age.
    pub age: PathBuf,
    /// dlib gender.
    pub gender: PathBuf,
    /// face-api age and gender.
    pub age_gender: PathBuf,
    /// MediaPipe face landmarks, 478 points.
    pub landmarks: PathBuf,
    /// Canonical face mesh for the pose.
    pub face_geometry: PathBuf,
    /// Our own occlusion network.
    pub occlusion: PathBuf,
}

impl ModelFiles {
    /// In a folder that `facegate models fetch` has filled, under the names that it gives them.
    pub fn in_folder(folder: impl AsRef<Path>) -> Self {
        let file = |name| folder.as_ref().join(name);
        Self {
            onnx_runtime: file(if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" }),
            detector: file("detector.onnx"),
            liveness_v2: file("liveness_v2.onnx"),
            liveness_fr: file("liveness_fr.onnx"),
            liveness_own: file("liveness_own.onnx"),
            age: file("age.onnx"),
            gender: file("gender.onnx"),
            age_gender: file("age_gender.onnx"),
            landmarks: file("landmarks.onnx"),
            face_geometry: file("face_geometry.json"),
            occlusion: file("occlusion.onnx"),
        }
    }
}

/// The networks could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime or a network.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The canonical face.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The configuration of the rules.
    #[error(transparent)]
    Rules(#[from] RuleConfigError),
    /// The operator's own liveness head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A network's file, which a head is to be compared with.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// All networks of one analysis.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) finder: FaceFinder,
    pub(crate) geometry: FaceGeometry,
    pub(crate) occlusion: OcclusionDetector,
    pub(crate) liveness: Liveness,
    pub(crate) attributes: AttributeEstimator,
    /// Runs while one of the networks does.
    pub(crate) clock: Clock,
}

/// What engines are made of: everything that they share.
#[derive(Debug)]
pub(crate) struct Blueprints {
    detector: Blueprint,
    landmarks: Blueprint,
    geometry: FaceGeometry,
    occlusion: Blueprint,
    liveness_v2: Blueprint,
    liveness_fr: Blueprint,
    liveness_own: Blueprint,
    age: Blueprint,
    gender: Blueprint,
    age_gender: Blueprint,
    /// The operator's own head, or the place where it would be.
    pub(crate) head: Arc<HeadPlace>,
}

/// The networks that liveness heads belong to, as they lie in the model folder.
fn liveness_networks(files: &ModelFiles) -> Result<Vec<NetworkId>, LoadError> {
    let network = |name: &str, path: &PathBuf| -> Result<NetworkId, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(NetworkId { name: name.to_owned(), sha256 })
    };
    Ok(vec![
        network("MiniFASNetV2", &files.liveness_v2)?,
        network("fr_liveness", &files.liveness_fr)?,
        network("facegate liveness", &files.liveness_own)?,
    ])
}

impl Blueprints {
    pub(crate) fn draw(files: &ModelFiles, settings: &Settings) -> Result<Self, LoadError> {
        let runtime = Runtime::load(&files.onnx_runtime)?;
        let draw = |path: &PathBuf| Blueprint::draw(&runtime, path);
        Ok(Self {
            detector: draw(&files.detector)?,
            landmarks: draw(&files.landmarks)?,
            geometry: FaceGeometry::load(&files.face_geometry)?,
            occlusion: draw(&files.occlusion)?,
            liveness_v2: draw(&files.liveness_v2)?,
            liveness_fr: draw(&files.liveness_fr)?,
            liveness_own: draw(&files.liveness_own)?,
            age: draw(&files.age)?,
            gender: draw(&files.gender)?,
            age_gender: draw(&files.age_gender)?,
            head: Arc::new(HeadPlace::load(&settings.liveness, liveness_networks(files)?)?),
        })
    }
}

impl Engine {
    pub(crate) fn load(blueprints: &Blueprints, settings: &Settings) -> Result<Self, LoadError> {
        let clock = Clock::default();
        let network = |blueprint: &Blueprint| Network::load(blueprint, &clock);
        Ok(Self {
            finder: FaceFinder::new(
                network(&blueprints.detector)?,
                Landmarker::new(network(&blueprints.landmarks)?),
                settings.detection.clone(),
            ),
            geometry: blueprints.geometry.clone(),
            occlusion: OcclusionDetector::new(network(&blueprints.occlusion)?),
            liveness: Liveness::new(
                network(&blueprints.liveness_v2)?,
                network(&blueprints.liveness_fr)?,
                network(&blueprints.liveness_own)?,
                &settings.liveness,
                Arc::clone(&blueprints.head),
            ),
            attributes: AttributeEstimator::new(
                network(&blueprints.age)?,
                network(&blueprints.gender)?,
                network(&blueprints.age_gender)?,
                settings.attributes.clone(),
            ),
            clock,
        })
    }

    /// Runs every network once, on a black picture with a face assumed in its middle.
    pub(crate) fn warm_up(&mut self) -> Result<(), InferenceError> {
        let upright = Orientation::UPRIGHT;
        let picture =
            Picture { pixels: Pixels::black(640, 480), orientation: upright, exif_orientation: 1, format: "none" };
        self.finder.find(&picture, &mut self.occlusion)?;
        let extent = Extent { left: 240.0, top: 140.0, width: 160.0, height: 200.0 };
        let keypoints = [[285.0, 220.0], [355.0, 220.0], [320.0, 260.0], [290.0, 300.0], [350.0, 300.0]];
        let face = Detection { score: 1.0, extent, keypoints };
        let view = FaceView::cut(&picture.pixels, upright, extent, face.roll());
        let landmarks = self.finder.landmarks(&view, &face)?;
        self.occlusion.run(&view, &face)?;
        self.liveness.judge(&picture.pixels, upright, extent, 2.4)?;
        self.attributes.run(&view, &landmarks)?;
        Ok(())
    }
}

/// Engines that wait for work.
#[derive(Debug)]
pub(crate) struct EnginePool {
    idle: Mutex<Vec<Engine>>,
    returned: Condvar,
    /// Held by a caller who takes every engine: two who each hold some would wait for each other.
    all: Mutex<()>,
    size: usize,
    head: Arc<HeadPlace>,
}

impl EnginePool {
    pub(crate) fn load(files: &ModelFiles, settings: &Settings, size: usize) -> Result<Self, LoadError> {
        let blueprints = Blueprints::draw(files, settings)?;
        let idle = (0..size).map(|_| Engine::load(&blueprints, settings)).collect::<Result<_, _>>()?;
        Ok(Self { idle: Mutex::new(idle), returned: Condvar::new(), all: Mutex::new(()), size, head: blueprints.head })
    }

    /// Where all engines take the operator's own liveness head from.
    pub(crate) fn head(&self) -> &HeadPlace {
        &self.head
    }

    /// An engine of one's own until it is dropped. Waits while all are at work.
    pub(crate) fn take(&self) -> Borrowed<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(engine) = idle.pop() {
                // An analysis that failed has left its time behind.
                engine.clock.take();
                return Borrowed { pool: self, engine: Some(engine) };
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does something with every engine.
    pub(crate) fn each<E>(&self, mut work: impl FnMut(&mut Engine) -> Result<(), E>) -> Result<(), E> {
        let _alone = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut engines: Vec<_> = (0..self.size).map(|_| self.take()).collect();
        engines.iter_mut().try_for_each(|engine| work(engine))
    }
}

/// An engine on loan, also returned when the analysis panics.
#[derive(Debug)]
pub(crate) struct Borrowed<'p> {
    pool: &'p EnginePool,
    engine: Option<Engine>,
}

impl Deref for Borrowed<'_> {
    type Target = Engine;

    #[expect(clippy::expect_used, reason = "the engine only leaves in drop")]
    fn deref(&self) -> &Engine {
        self.engine.as_ref().expect("present until dropped")
    }
}

impl DerefMut for Borrowed<'_> {
    #[expect(clippy::expect_used, reason = "the engine only leaves in drop")]
    fn deref_mut(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("present until dropped")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.engine.take());
        self.pool.returned.notify_one();
    }
}
