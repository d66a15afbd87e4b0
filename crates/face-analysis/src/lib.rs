//! Bytes of a picture in, one analysis out: is there exactly one usable face, where, how old, which gender, and is
//! it a live person?
//!
//! [`FaceAnalyzer::analyze`] is the whole pipeline. Pixels come from [`picture_cell`]; each stage
//! after it is a file: [`detection`], `landmarks`, `pose`, `occlusion`, `liveness`, `age_gender`, and [`rules`] judges what
//! they measured. No HTTP, no globals but
//! the one loaded copy of ONNX Runtime, no async: a call works on its own thread until it has the answer.

mod age_gender;
mod alignment;
mod bars;
mod confirmation;
mod crop;
mod detail;
pub mod detection;
mod examination;
mod face;
mod face_box;
mod inference;
mod landmarks;
mod light;
mod liveness;
mod models;
mod occlusion;
mod pixelation;
mod pose;
mod quality;
pub mod report;
pub mod rules;
pub mod stages;
mod words;

use serde::{Deserialize, Serialize};

pub use age_gender::{AttributeSettings, Effort};
pub use detection::DetectionSettings;
pub use inference::InferenceError;
pub use liveness::{FEATURE_PARTS, FEATURES_REVISION, HeadError, HeadName, LivenessSettings};
pub use liveness_head::NetworkId;
pub use models::{LoadError, ModelFiles};
pub use picture_cell::{CellError, DecodeLimits, Decoder, PictureError};
pub use report::{Analysis, Verdict};
pub use rules::{Action, Profile, RejectionWord, RuleConfig, RuleOverride};

use picture_cell::{DecodeError, Picture};

use crate::examination::Examination;
use crate::models::{Engine, EnginePool};
use crate::rules::Rules;

/// How pictures are analysed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// How large a picture may be.
    pub limits: DecodeLimits,
    /// How faces are looked for.
    pub detection: DetectionSettings,
    /// How liveness is judged.
    pub liveness: LivenessSettings,
    /// How age and gender are estimated.
    pub attributes: AttributeSettings,
    /// What a usable picture is.
    pub rules: RuleConfig,
}

/// What the caller wants beside the attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The face cropped from the picture, as JPEG.
    pub face_image: bool,
    /// Every measured value, also of a rejected picture.
    pub details: bool,
}

/// What a liveness head can be fitted on, from one picture.
#[derive(Debug, Clone)]
pub struct LivenessSample {
    /// Why the picture would be rejected, if it would.
    pub rejection: Option<report::Rejection>,
    /// What the liveness networks say of its main face; absent without one.
    pub liveness: Option<LivenessObservation>,
}

/// What the liveness networks say of one face.
#[derive(Debug, Clone)]
pub struct LivenessObservation {
    /// What both published networks see, in the parts of [`FEATURE_PARTS`]: before their last layers, one network after the other, then
    /// the texture in an early one.
    pub features: Vec<f32>,
    /// The same of the mirror image: a near-copy may be mirrored.
    pub mirrored: Vec<f32>,
    /// The mean of these two networks' log-odds of a live face.
    pub pair: f32,
    /// Log-odds of a live face as they are without a head, 0 at the operating point.
    pub general: f32,
    /// The smaller of picture width / face width and picture height / face height.
    pub surrounding: f32,
}

/// The picture could not be analysed.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// The bytes are no usable picture: the sender's fault.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// No process could decode the picture: ours.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A network failed: ours.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The cropped face could not be encoded: ours.
    #[error("the face image could not be encoded: {0}")]
    Encode(String),
}

impl AnalysisError {
    /// A stable reason in snake_case for `errorDetail.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Picture(error) => error.code(),
            Self::Cell(_) => "decoder_unavailable",
            Self::Inference(_) => "inference_failed",
            Self::Encode(_) => "encoding_failed",
        }
    }

    /// Whether the fault is ours (500) rather than the picture's (422).
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Picture(_))
    }
}

impl From<DecodeError> for AnalysisError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Picture(error) => error.into(),
            DecodeError::Cell(error) => error.into(),
        }
    }
}

/// The whole pipeline with its networks loaded. Shared between threads; each call analyses one picture, and as many
/// run side by side as the analyzer was loaded for.
#[derive(Debug)]
pub struct FaceAnalyzer {
    decoder: Decoder,
    rules: Rules,
    engines: EnginePool,
}

impl FaceAnalyzer {
    /// Loads the networks, for `parallelism` analyses side by side (at least one). Pictures are decoded in the calling
    /// thread, which is for pictures of one's own: a decoder that fails takes the process with it. For those of
    /// strangers there is [`FaceAnalyzer::load_with`].
    pub fn load(files: &ModelFiles, settings: Settings, parallelism: usize) -> Result<Self, LoadError> {
        let decoder = Decoder::in_process(settings.limits.clone());
        Self::load_with(files, settings, parallelism, decoder)
    }

    /// Loads the networks, for `parallelism` analyses side by side (at least one), of pictures that `decoder` decodes
    /// within its own limits.
    pub fn load_with(
        files: &ModelFiles,
        settings: Settings,
        parallelism: usize,
        decoder: Decoder,
    ) -> Result<Self, LoadError> {
        let rules = settings.rules.resolve()?;
        let engines = EnginePool::load(files, &settings, parallelism.max(1))?;
        Ok(Self { decoder, rules, engines })
    }

    /// Runs every loaded network once and waits for a cell, so that the first request pays no set-up.
    pub fn warm_up(&self) -> Result<(), AnalysisError> {
        self.engines.each(Engine::warm_up)?;
        Ok(self.decoder.warm_up()?)
    }

    /// What decodes its pictures.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The pixels of a picture, without an analysis.
    pub fn decode(&self, bytes: &[u8]) -> Result<Picture, AnalysisError> {
        Ok(self.decoder.decode(bytes)?)
    }

    /// The operator's own liveness head in use.
    pub fn head(&self) -> Option<HeadName> {
        self.engines.head().current().map(|loaded| loaded.name.clone())
    }

    /// Reads the operator's own liveness head again. When its file cannot be used the head stays as it was.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is damaged, or does not fit the networks.
    pub fn reload_head(&self) -> Result<Option<HeadName>, HeadError> {
        self.engines.head().reload()
    }

    /// The networks that liveness heads must belong to.
    pub fn liveness_networks(&self) -> &[NetworkId] {
        self.engines.head().networks()
    }

    /// The crops of each network that a liveness head's features are the mean of.
    pub fn liveness_crops(&self) -> u32 {
        self.engines.head().crops()
    }

    /// What a liveness head can be fitted on, whatever the rules say of the picture. Waits for free networks as
    /// [`Self::analyze`] does.
    pub fn liveness_sample(&self, bytes: &[u8]) -> Result<LivenessSample, AnalysisError> {
        let (mut examination, picture) = self.open(bytes, Wanted { details: true, face_image: false })?;
        let mut engine = self.engines.take();
        examine_face(&mut examination, &picture, &mut engine)?;
        examination.mirrored(&picture, &mut engine.liveness)?;
        drop(engine);
        self.decoder.recycle(picture);
        Ok(examination.liveness_sample())
    }

    /// Analyses one picture on the calling thread. Waits for free networks when all are at work.
    pub fn analyze(&self, bytes: &[u8], wanted: Wanted) -> Result<Analysis, AnalysisError> {
        let (mut examination, picture) = self.open(bytes, wanted)?;
        let mut engine = self.engines.take();
        examine_face(&mut examination, &picture, &mut engine)?;
        examination.attributes(&mut engine.attributes)?;
        examination.inference(&engine.clock);
        drop(engine);
        examination.quality(&picture);
        let analysis = examination.finish(&picture);
        self.decoder.recycle(picture);
        analysis
    }

    /// The pixels of a picture without bars at its edges, before any network sees them.
    fn open(&self, bytes: &[u8], wanted: Wanted) -> Result<(Examination<'_>, Picture), AnalysisError> {
        let mut examination = Examination::new(&self.rules, wanted);
        let mut picture = examination.time("decode", || self.decoder.decode(bytes))?;
        examination.bars(&mut picture);
        Ok((examination, picture))
    }
}

/// Where the face is, whether something covers it, and whether it is live.
fn examine_face(
    examination: &mut Examination<'_>,
    picture: &Picture,
    engine: &mut Engine,
) -> Result<(), InferenceError> {
    examination.detection(picture, &mut engine.finder, &mut engine.occlusion, &engine.geometry)?;
    examination.occlusion(&mut engine.occlusion)?;
    examination.liveness(picture, &mut engine.liveness)
}
