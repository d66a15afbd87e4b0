//! One picture on its way through the stages: what has been measured so far, and whether that already decides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::age_gender::{AttributeEstimator, Attributes};
use crate::alignment::FaceView;
use crate::bars::{self, Frame};
use crate::crop::face_jpeg;
use crate::detection::{Detection, FaceFinder, Found};
use crate::inference::{Clock, InferenceError};
use crate::landmarks::Landmarks;
use crate::liveness::{Judged, Liveness};
use crate::occlusion::OcclusionDetector;
use crate::pose::FaceGeometry;
use crate::report::{
    Analysis, Details, DetectedFace, Extent, Face, ImageDetails, MODELS, Margins, ModelInfo, QualityComponent,
    Rectangle, Rejection, StageTime, Verdict,
};
use crate::rules::{Measurements, RejectionWord, Rules, rests_on_pupils};
use crate::{AnalysisError, LivenessObservation, LivenessSample, Wanted, light, quality};
use picture_cell::Orientation;
use picture_cell::Picture;

/// The state of one analysis. A stage that cannot change the answer any more does not run.
#[derive(Debug)]
pub(crate) struct Examination<'r> {
    rules: &'r Rules,
    wanted: Wanted,
    frame: Frame,
    pub(crate) measured: Measurements,
    rejection: Option<Rejection>,
    found: Option<Found>,
    view: Option<FaceView>,
    landmarks: Option<Landmarks>,
    liveness: Option<Judged>,
    mirrored: Vec<f32>,
    attributes: Option<Attributes>,
    quality: Option<BTreeMap<&'static str, QualityComponent>>,
    timings: Timings,
    inference: Duration,
}

/// How long each stage took. Apart from the rest, so that a stage can borrow what earlier ones have measured.
#[derive(Debug)]
struct Timings(Vec<StageTime>);

impl Timings {
    /// Runs one stage and notes how long it took.
    fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.note(stage, begin.elapsed());
        result
    }

    fn note(&mut self, stage: &'static str, time: Duration) {
        self.0.push(StageTime { stage, time });
    }
}

impl<'r> Examination<'r> {
    pub(crate) fn new(rules: &'r Rules, wanted: Wanted) -> Self {
        Self {
            rules,
            wanted,
            frame: Frame::default(),
            measured: Measurements::default(),
            rejection: None,
            found: None,
            view: None,
            landmarks: None,
            liveness: None,
            mirrored: Vec::new(),
            attributes: None,
            quality: None,
            timings: Timings(Vec::with_capacity(8)),
            inference: Duration::ZERO,
        }
    }

    /// Runs one stage and notes how long it took.
    pub(crate) fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        self.timings.time(stage, work)
    }

    /// Cuts off uniform bars at the edges. From here on the picture is what lies inside them; only what is reported
    /// stands in coordinates of the whole.
    pub(crate) fn bars(&mut self, picture: &mut Picture) {
        self.frame = bars::cut(picture);
    }

    /// Finds faces, and measures size and place, pose and pupils of the main one.
    pub(crate) fn detection(
        &mut self,
        picture: &Picture,
        finder: &mut FaceFinder,
        occlusion: &mut OcclusionDetector,
        geometry: &FaceGeometry,
    ) -> Result<(), InferenceError> {
        let begin = Instant::now();
        let mut found = finder.find(picture, occlusion)?;
        self.timings.note("detect", begin.elapsed().saturating_sub(found.mesh_time));
        if !found.mesh_time.is_zero() {
            self.timings.note("landmarks", found.mesh_time);
        }
        self.measured.faces = found.faces.len();
        if let Some(main) = found.faces.first() {
            let size = found.upright.size((picture.pixels.width(), picture.pixels.height()));
            let (width, height) = (size.0 as f32, size.1 as f32);
            let e = main.detection.extent;
            let heights = found.faces[1..].iter().map(|other| other.detection.head_height() / e.height);
            self.measured.second_face = heights.max_by(f32::total_cmp);
            self.measured.face_side = Some(e.width.min(e.height));
            self.measured.face_area = Some(e.width * e.height / (width * height) * self.frame.share(picture));
            self.measured.margins = Some(margins(e, size));
            self.measured.surrounding = Some((width / e.width).min(height / e.height));
            self.measured.light = Some(light::measure(&picture.pixels, found.upright, e));
        }
        if let Some((view, landmarks)) = found.main.take() {
            self.measured.interpupillary_distance = Some(landmarks.interpupillary_distance());
            self.measured.pose = geometry.pose(&landmarks.points);
            (self.view, self.landmarks) = (Some(view), Some(landmarks));
        }
        self.found = Some(found);
        self.judge();
        Ok(())
    }

    /// Measures whether something covers the face. Where it is rejected for that and an eye is hidden, nobody can say how far the
    /// pupils are apart.
    pub(crate) fn occlusion(&mut self, detector: &mut OcclusionDetector) -> Result<(), InferenceError> {
        // Pupils that seem too near to each other may be covered ones.
        let decided = self.decided() && !self.rejection.as_ref().is_some_and(rests_on_pupils);
        if decided || !self.rules.wants(RejectionWord::FaceIsOccluded, self.wanted.details) {
            return Ok(());
        }
        let (Some((_, face)), Some(view)) = (self.main_face(), &self.view) else {
            return Ok(());
        };
        let occlusion = self.timings.time("occlusion", || detector.measure(view, &face))?;
        self.measured.occlusion = Some(occlusion);
        if occlusion.hides_an_eye() && self.rules.reject_as_covered(&self.measured) {
            self.measured.interpupillary_distance = None;
        }
        self.judge();
        Ok(())
    }

    /// Judges whether the face is live.
    pub(crate) fn liveness(&mut self, picture: &Picture, liveness: &mut Liveness) -> Result<(), InferenceError> {
        if self.decided() {
            return Ok(());
        }
        let Some((upright, face)) = self.main_face() else {
            return Ok(());
        };
        let surrounding = self.measured.surrounding.unwrap_or(1.0);
        let mut judged =
            self.time("liveness", || liveness.judge(&picture.pixels, upright, face.extent, surrounding))?;
        if self.measured.light.is_some_and(|light| light.colour < light::COLOURLESS) {
            judged.details.reliability = 0.0;
        }
        self.liveness = Some(judged);
        Ok(())
    }

    /// What the liveness networks see of the mirror image, for [`Self::liveness_sample`].
    pub(crate) fn mirrored(&mut self, picture: &Picture, liveness: &mut Liveness) -> Result<(), InferenceError> {
        if let Some((upright, face)) = self.main_face() {
            self.mirrored = liveness.mirrored_features(&picture.pixels, upright, face.extent)?;
        }
        Ok(())
    }

    /// Estimates age and gender.
    pub(crate) fn attributes(&mut self, estimator: &mut AttributeEstimator) -> Result<(), InferenceError> {
        if self.decided() {
            return Ok(());
        }
        let (Some(view), Some(landmarks)) = (&self.view, &self.landmarks) else {
            return Ok(());
        };
        self.attributes = Some(self.timings.time("attributes", || estimator.run(view, landmarks))?);
        Ok(())
    }

    /// Notes how long the networks have run.
    pub(crate) fn inference(&mut self, clock: &Clock) {
        self.inference = clock.take();
    }

    /// Measures the capture quality. Nobody sees it but who wants details.
    pub(crate) fn quality(&mut self, picture: &Picture) {
        if !self.wanted.details {
            return;
        }
        let (Some(found), Some(view), Some(landmarks)) = (&self.found, &self.view, &self.landmarks) else {
            return;
        };
        let pose = self.measured.pose;
        self.quality = Some(self.timings.time("quality", || quality::measure(picture, found, view, landmarks, pose)));
    }

    /// What a liveness head can be fitted on.
    pub(crate) fn liveness_sample(self) -> LivenessSample {
        LivenessSample {
            rejection: self.rejection,
            liveness: self.liveness.map(|judged| LivenessObservation {
                features: judged.features,
                mirrored: self.mirrored,
                pair: judged.pair,
                general: judged.general,
                surrounding: judged.details.surrounding,
            }),
        }
    }

    /// Puts the answer together.
    pub(crate) fn finish(mut self, picture: &Picture) -> Result<Analysis, AnalysisError> {
        let verdict = self.verdict(picture)?;
        let details = self.wanted.details.then(|| Box::new(self.details(picture)));
        let pixels = (picture.pixels.width() * picture.pixels.height()) as u64;
        Ok(Analysis { verdict, details, timings: self.timings.0, inference: self.inference, pixels })
    }

    fn judge(&mut self) {
        self.rejection = self.rules.reject(&self.measured);
    }

    /// Whether nothing that is still to come can matter to the caller.
    fn decided(&self) -> bool {
        self.rejection.is_some() && !self.wanted.details
    }

    /// The main face, and what brings the stored picture into the position in which it is upright.
    fn main_face(&self) -> Option<(Orientation, Detection)> {
        let found = self.found.as_ref()?;
        Some((found.upright, found.faces.first()?.detection))
    }

    fn verdict(&mut self, picture: &Picture) -> Result<Verdict, AnalysisError> {
        let measured = (self.main_face(), self.liveness.as_ref(), self.attributes);
        let (Some((upright, face)), Some(liveness), Some(attributes), None) =
            (measured.0, measured.1, measured.2, &self.rejection)
        else {
            // Without a face the rule min_faces has rejected, and a face without rejection went through all stages.
            let rejection = self.rejection.take();
            return rejection
                .map(Verdict::Rejected)
                .ok_or_else(|| AnalysisError::Encode("a face went through without all of its attributes".into()));
        };
        let passive_liveness_score = liveness.details.score;
        let rectangle = rectangle(as_seen(picture, upright, face.extent), picture.seen_size());
        let image =
            if self.wanted.face_image { Some(self.time("encode", || face_jpeg(picture, rectangle))?) } else { None };
        Ok(Verdict::Accepted(Face {
            age: attributes.age.round().clamp(0.0, 100.0) as u8,
            gender: (10_000.0 * (2.0 * attributes.female - 1.0)).round() as i32,
            passive_liveness_score,
            rectangle: self.frame.rectangle(rectangle),
            image,
        }))
    }

    fn details(&self, picture: &Picture) -> Details {
        let (width, height) = self.frame.size(picture);
        let found = self.found.as_ref();
        let upright = found.map_or(picture.orientation, |f| f.upright);
        let point = |p: [f32; 2]| self.frame.point(point_as_seen(picture, upright, p));
        let faces = found.map_or(&[][..], |f| &f.faces);
        let liveness = self.liveness.as_ref().map(|judged| &judged.details);
        let head = liveness.and_then(|l| l.head.as_ref()).map(|head| ModelInfo::head(&head.name));
        Details {
            image: ImageDetails {
                width: width as u32,
                height: height as u32,
                format: picture.format,
                content: self.frame.content(picture),
                exif_orientation: picture.exif_orientation,
                upright_rotation: found.map_or(0, |f| f.rotation),
            },
            faces: faces
                .iter()
                .map(|face| DetectedFace {
                    score: face.detection.score,
                    closer_score: face.evidence.closer,
                    landmark_confidence: face.evidence.presence,
                    covered: face.evidence.covered,
                    disagreement: face.evidence.disagreement,
                    certainty: face.evidence.certainty(),
                    extent: self.frame.extent(as_seen(picture, upright, face.detection.extent)),
                    keypoints: face.detection.keypoints.map(point),
                })
                .collect(),
            landmarks: self.landmarks.as_ref().map(|landmarks| {
                let seen = |p: &[f32; 3]| {
                    let [x, y] = point([p[0], p[1]]);
                    [x, y, p[2]]
                };
                landmarks.points.iter().map(seen).collect()
            }),
            landmark_confidence: self.landmarks.as_ref().map(|landmarks| landmarks.presence),
            interpupillary_distance: self.measured.interpupillary_distance,
            pose: self.measured.pose,
            margins: faces
                .first()
                .map(|face| margins(as_seen(picture, upright, face.detection.extent), picture.seen_size())),
            rules: self.rules.judge(&self.measured),
            warnings: self.rules.warnings(&self.measured),
            liveness: liveness.cloned(),
            occlusion: self.measured.occlusion,
            occlusion_probability: self.measured.occlusion.map(|o| o.probability),
            age: self.attributes.map(|a| a.age),
            female_probability: self.attributes.map(|a| a.female),
            quality: self.quality.clone(),
            models: MODELS.into_iter().chain(head).collect(),
            timings: self.timings.0.iter().fold(BTreeMap::new(), |mut stages, stage| {
                *stages.entry(stage.stage).or_insert(0.0) += stage.time.as_secs_f64() * 1e3;
                stages
            }),
        }
    }
}

/// A point of the upright picture in coordinates of the picture as it is seen.
fn point_as_seen(picture: &Picture, upright: Orientation, point: [f32; 2]) -> [f32; 2] {
    let stored = (picture.pixels.width() as f32, picture.pixels.height() as f32);
    upright.inverse().then(picture.orientation).point(point, upright.size(stored))
}

/// A box of the upright picture in coordinates of the picture as it is seen.
fn as_seen(picture: &Picture, upright: Orientation, extent: Extent) -> Extent {
    let stored = (picture.pixels.width() as f32, picture.pixels.height() as f32);
    extent.turned(upright.inverse().then(picture.orientation), upright.size(stored))
}

/// Distances from a box to the borders of a picture of `size`.
fn margins(extent: Extent, size: (usize, usize)) -> Margins {
    Margins {
        left: extent.left,
        top: extent.top,
        right: size.0 as f32 - extent.left - extent.width,
        bottom: size.1 as f32 - extent.top - extent.height,
    }
}

/// The whole pixels of a box that lie inside a picture of `size`; at least one.
fn rectangle(extent: Extent, size: (usize, usize)) -> Rectangle {
    let span = |begin: f32, length: f32, limit: usize| {
        let from = (begin.round().max(0.0) as u32).min(limit as u32 - 1);
        let to = ((begin + length).round().max(0.0) as u32).clamp(from + 1, limit as u32);
        (from, to)
    };
    let (left, right) = span(extent.left, extent.width, size.0);
    let (top, bottom) = span(extent.top, extent.height, size.1);
    Rectangle { top, left, width: right - left, height: bottom - top, right, bottom }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any number that arithmetic on a network's answer may give.
    fn any_number() -> impl Strategy<Value = f32> {
        prop_oneof![-1e4_f32..1e4, Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(f32::MAX)]
    }

    proptest! {
        #[test]
        fn a_rectangle_has_pixels_and_lies_inside_the_picture(
            left in any_number(), top in any_number(), width in any_number(), height in any_number(),
            size in (1_usize..5_000, 1_usize..5_000),
        ) {
            let r = rectangle(Extent { left, top, width, height }, size);
            prop_assert!(r.width > 0 && r.height > 0, "{r:?}");
            prop_assert!(r.right as usize <= size.0 && r.bottom as usize <= size.1, "{r:?}");
            prop_assert_eq!((r.left + r.width, r.top + r.height), (r.right, r.bottom));
        }

        #[test]
        fn a_rectangle_inside_the_picture_is_the_box_to_the_pixel(
            left in 0.0_f32..500.0, top in 0.0_f32..500.0, width in 1.0_f32..400.0, height in 1.0_f32..400.0,
        ) {
            let r = rectangle(Extent { left, top, width, height }, (1_000, 1_000));
            prop_assert!((r.left as f32 - left).abs() <= 0.5 && (r.top as f32 - top).abs() <= 0.5);
            prop_assert!((r.right as f32 - left - width).abs() <= 0.51 && (r.bottom as f32 - top - height).abs() <= 0.51);
        }
    }
}
