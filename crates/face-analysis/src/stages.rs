//! Each stage of the pipeline alone, for benchmarks: what it takes from the stages before it is prepared once.

use std::hint::black_box;

use crate::alignment::FaceView;
use crate::crop::face_jpeg;
use crate::detection::Found;
use crate::examination::Examination;
use crate::landmarks::Landmarks;
use crate::models::{Blueprints, Engine};
use crate::report::{Rectangle, Verdict};
use crate::rules::{Measurements, Rules};
use crate::{AnalysisError, InferenceError, LoadError, ModelFiles, Settings, Wanted, quality};
use picture_cell::{Picture, decode};

/// A stage, in the order in which an analysis runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes to pixels.
    Decode,
    /// The picture reduced to what the detector sees first.
    Resize,
    /// All runs of the detector and the landmark network, with their resizing.
    Detect,
    /// The face's surroundings cut out and reduced.
    Align,
    /// Dense landmarks.
    Landmarks,
    /// The head's rotation from the landmarks.
    Pose,
    /// Whether something covers the face: network, blur and grid.
    Occlusion,
    /// The three liveness networks on all of their crops.
    Liveness,
    /// The age and gender networks on all of their crops.
    Attributes,
    /// Capture quality, which only runs when details are wanted.
    Quality,
    /// All rules on what was measured.
    Rules,
    /// The cropped face as JPEG, which only runs when it is wanted.
    Encode,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Decode,
        Self::Resize,
        Self::Detect,
        Self::Align,
        Self::Landmarks,
        Self::Pose,
        Self::Occlusion,
        Self::Liveness,
        Self::Attributes,
        Self::Quality,
        Self::Rules,
        Self::Encode,
    ];
}

/// One picture with everything that its stages take from each other.
#[derive(Debug)]
pub struct Stages {
    bytes: Vec<u8>,
    settings: Settings,
    rules: Rules,
    engine: Engine,
    picture: Picture,
    found: Found,
    view: FaceView,
    landmarks: Landmarks,
    rectangle: Rectangle,
    measured: Measurements,
}

/// The picture cannot serve as a benchmark.
#[derive(Debug, thiserror::Error)]
pub enum StagesError {
    /// The networks could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The picture could not be analysed.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A network failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The picture does not go through all stages.
    #[error("the picture is not accepted, so that not every stage runs on it")]
    Rejected,
}

impl Stages {
    /// Loads the networks and analyses the picture once.
    pub fn prepare(files: &ModelFiles, settings: Settings, bytes: Vec<u8>) -> Result<Self, StagesError> {
        let rules = settings.rules.resolve().map_err(LoadError::from)?;
        let mut engine = Engine::load(&Blueprints::draw(files, &settings)?, &settings)?;
        let picture = decode(&bytes, &settings.limits).map_err(AnalysisError::from)?;
        let mut found = engine.finder.find(&picture, &mut engine.occlusion)?;
        let (view, landmarks) = found.main.take().ok_or(StagesError::Rejected)?;
        let mut examination = Examination::new(&rules, Wanted::default());
        examination.detection(&picture, &mut engine.finder, &mut engine.occlusion, &engine.geometry)?;
        examination.occlusion(&mut engine.occlusion)?;
        examination.liveness(&picture, &mut engine.liveness)?;
        examination.attributes(&mut engine.attributes)?;
        let measured = examination.measured;
        let Verdict::Accepted(accepted) = examination.finish(&picture)?.verdict else {
            return Err(StagesError::Rejected);
        };
        let rectangle = accepted.rectangle;
        Ok(Self { bytes, settings, rules, engine, picture, found, view, landmarks, rectangle, measured })
    }

    /// Runs one stage once.
    pub fn run(&mut self, stage: Stage) -> Result<(), AnalysisError> {
        let (picture, engine) = (&self.picture, &mut self.engine);
        let (upright, face) = (self.found.upright, self.found.faces[0].detection);
        match stage {
            Stage::Decode => drop(black_box(decode(&self.bytes, &self.settings.limits)?)),
            Stage::Resize => drop(black_box(engine.finder.reduce(picture))),
            Stage::Detect => drop(black_box(engine.finder.find(picture, &mut engine.occlusion)?)),
            Stage::Align => drop(black_box(FaceView::cut(&picture.pixels, upright, face.extent, face.roll()))),
            Stage::Landmarks => drop(black_box(engine.finder.landmarks(&self.view, &face)?)),
            Stage::Pose => drop(black_box(engine.geometry.pose(&self.landmarks.points))),
            Stage::Occlusion => drop(black_box(engine.occlusion.measure(&self.view, &face)?)),
            Stage::Liveness => {
                drop(black_box(engine.liveness.judge(&picture.pixels, upright, face.extent, 2.0)?));
            }
            Stage::Attributes => drop(black_box(engine.attributes.run(&self.view, &self.landmarks)?)),
            Stage::Quality => {
                drop(black_box(quality::measure(picture, &self.found, &self.view, &self.landmarks, None)));
            }
            Stage::Rules => drop(black_box(self.rules.reject(&self.measured))),
            Stage::Encode => drop(black_box(face_jpeg(picture, self.rectangle)?)),
        }
        Ok(())
    }

    /// How long the networks have run since the last call.
    pub fn inference(&self) -> std::time::Duration {
        self.engine.clock.take()
    }
}
