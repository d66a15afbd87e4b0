//! Refinement: one proposal alone, by the landmark network and where that leaves doubt by the detector at a larger scale.

use std::time::Instant;

use super::scales::{MAX_ENLARGEMENT, Window};
use super::suppression::{SAME_FACE, area, overlap};
use super::{Detection, Face, FaceFinder, Search};
use crate::alignment::FaceView;
use crate::confirmation::{Evidence, TRUSTED_PRESENCE};
use crate::face_box;
use crate::inference::InferenceError;
use crate::landmarks::Landmarks;
use picture_cell::{Orientation, Picture};

/// A doubtful proposal is refined at scales that make the face this high in pixels: YuNet is surest on faces of up to about 300
/// pixels, and which size suits a covered face is not known beforehand.
const REFINED_HEIGHTS: [f32; 2] = [256.0, 128.0];

/// The proposal of a further face is refined with the face this high: it may be one that is too small to be sure of.
const FURTHER_HEIGHT: f32 = 96.0;

/// Refinement sees this many times the longer side of a face.
const SPAN: f32 = 2.0;

/// Of a further face less: the main one, which is near to it, then disturbs less (docs/performance.md has both).
const FURTHER_SPAN: f32 = 1.5;

/// The mesh is fitted again when the refined box overlaps the first one by less (intersection over union).
const MOVED: f32 = 0.85;

/// The mesh is fitted again when it leans this much (radians, 9 degrees) beyond what it was looked for with, at most so often, and
/// up to this lean: what leans more is found as a face on its side.
const LEANING: f32 = 0.157;
const MOST_LEANS: usize = 4;
const MOST_LEAN: f32 = 1.13;

/// A mesh of this presence and more shows a face.
const SEEN: f32 = 0.5;

/// A candidate with all that was measured on it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) face: Face,
    pub(super) view: FaceView,
    pub(super) landmarks: Landmarks,
    /// The lean that the landmarks were looked for with, in radians.
    lean: f32,
}

impl FaceFinder {
    /// Weighs one proposal. A plain face costs one run of the landmark network. `None` when this picture has had its
    /// share of meshes.
    pub(super) fn weigh(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        proposal: Detection,
    ) -> Result<Option<Candidate>, InferenceError> {
        let Some(mut candidate) = self.fit_mesh(search, upright, proposal)? else { return Ok(None) };
        if candidate.face.evidence.is_drawn() {
            return Ok(Some(candidate));
        }
        if candidate.face.evidence.is_plain(self.settings.min_score) {
            candidate.take_box_of_mesh();
            return Ok(Some(candidate));
        }
        let trusted = candidate.face.evidence.presence >= TRUSTED_PRESENCE;
        let sizes = if trusted { &REFINED_HEIGHTS[..1] } else { &REFINED_HEIGHTS[..] };
        let (score, surest) = self.refine(search.picture, upright, &proposal, sizes)?;
        candidate.face.evidence.closer = Some(score);
        if let Some(seen) = surest {
            let moved = overlap(&seen.extent, &proposal.extent) < MOVED;
            let again = if moved || !trusted { self.fit_mesh(search, upright, seen)? } else { None };
            if let Some(again) = again {
                candidate.take_better_mesh(again);
            }
            candidate.face.detection = Detection { score: seen.score.max(proposal.score), ..seen };
        }
        if candidate.face.evidence.presence < TRUSTED_PRESENCE {
            let covered = search.occlusion.run(&candidate.view, &candidate.face.detection)?;
            candidate.face.evidence.covered = Some(covered.probability);
        } else {
            candidate.take_box_of_mesh();
        }
        Ok(Some(candidate))
    }

    /// The detector on one proposal alone, once for each height of the face: the mean of the scores, and the surest answer.
    fn refine(
        &mut self,
        picture: &Picture,
        upright: Orientation,
        proposal: &Detection,
        sizes: &[f32],
    ) -> Result<(f32, Option<Detection>), InferenceError> {
        let (mut sum, mut surest) = (0.0, None::<Detection>);
        for height in sizes {
            let Some(seen) = self.refine_at(picture, upright, proposal, *height, SPAN)? else { continue };
            sum += seen.score;
            if surest.is_none_or(|before| seen.score > before.score) {
                surest = Some(seen);
            }
        }
        Ok((sum / sizes.len() as f32, surest))
    }

    /// The proposal of a further face, refined.
    pub(super) fn refine_further(
        &mut self,
        picture: &Picture,
        upright: Orientation,
        proposal: &Detection,
    ) -> Result<Option<Detection>, InferenceError> {
        self.refine_at(picture, upright, proposal, FURTHER_HEIGHT, FURTHER_SPAN)
    }

    /// One run of the landmark network.
    fn fit_mesh(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        detection: Detection,
    ) -> Result<Option<Candidate>, InferenceError> {
        let Some(left) = search.meshes_left.checked_sub(1) else { return Ok(None) };
        search.meshes_left = left;
        let begin = Instant::now();
        let view = FaceView::cut(&search.picture.pixels, upright, detection.extent, detection.roll());
        let landmarks = self.landmarker.run(&view, &detection)?;
        let flat = self.landmarker.flat_share();
        search.mesh_time += begin.elapsed();
        let points = face_box::from_landmarks(&landmarks.points).keypoints;
        let distance = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] - b[0]).hypot(a[1] - b[1]);
        let apart = points.iter().zip(&detection.keypoints).map(distance).sum::<f32>() / points.len() as f32;
        let evidence = Evidence {
            score: detection.score,
            closer: None,
            presence: landmarks.presence,
            covered: None,
            disagreement: apart / area(&detection.extent).max(1.0).sqrt(),
            flat,
        };
        Ok(Some(Candidate { face: Face { detection, evidence }, view, landmarks, lean: detection.roll() }))
    }

    /// Fits the mesh of a head that leans again, turned as the mesh before it says: the detector sets the eyes of a leaning head far
    /// too level, and a mesh that looks for them there is bent. The evidence stays that of the first look.
    pub(super) fn follow_lean(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        candidate: &mut Candidate,
    ) -> Result<(), InferenceError> {
        let mut presence = candidate.face.evidence.presence;
        for _ in 0..MOST_LEANS {
            let lean = candidate.landmarks.roll();
            if presence < SEEN || (lean - candidate.lean).abs() < LEANING || lean.abs() > MOST_LEAN {
                break;
            }
            let mesh = face_box::from_landmarks(&candidate.landmarks.points);
            let keypoints = face_box::keypoints_of(&candidate.landmarks.points, lean);
            let seen = Detection { extent: mesh.extent, keypoints, ..candidate.face.detection };
            let Some(again) = self.fit_mesh(search, upright, seen)? else { break };
            presence = again.face.evidence.presence;
            if presence >= SEEN {
                candidate.take_mesh(again);
            }
            if presence >= TRUSTED_PRESENCE {
                candidate.take_box_of_mesh();
            }
        }
        Ok(())
    }

    /// The detector once more at one face alone and `span` times its longer side, with the face `height` pixels high.
    fn refine_at(
        &mut self,
        picture: &Picture,
        upright: Orientation,
        face: &Detection,
        height: f32,
        span: f32,
    ) -> Result<Option<Detection>, InferenceError> {
        let scale = (height / face.longer_side()).min(MAX_ENLARGEMENT);
        let window = Window::closer(picture, upright, &face.extent, scale, span);
        // Proposals with less are worth refining, and no reason to move a face.
        let least = self.settings.weak_score.min(self.settings.min_score);
        let e = &face.extent;
        let same = self.network.run(&window, least)?.into_iter().filter(|other| overlap(&other.extent, e) > SAME_FACE);
        Ok(same.max_by(|a, b| overlap(&a.extent, e).total_cmp(&overlap(&b.extent, e))))
    }
}

impl Candidate {
    /// Takes box and points of the mesh. It goes on beyond the picture where the picture cuts the face; the detector's box ends near
    /// the border (docs/accuracy.md has both).
    fn take_box_of_mesh(&mut self) {
        let landmarks = &self.landmarks;
        self.face.detection.extent = face_box::from_landmarks(&landmarks.points).extent;
        self.face.detection.keypoints = face_box::keypoints_of(&landmarks.points, landmarks.roll());
    }

    fn take_mesh(&mut self, other: Self) {
        (self.view, self.landmarks, self.lean) = (other.view, other.landmarks, other.lean);
    }

    /// Takes the mesh of the same face in another box when the landmark network is surer of it.
    fn take_better_mesh(&mut self, other: Self) {
        let evidence = &mut self.face.evidence;
        if other.face.evidence.presence >= evidence.presence {
            evidence.presence = other.face.evidence.presence;
            evidence.disagreement = other.face.evidence.disagreement;
            evidence.flat = other.face.evidence.flat;
            self.take_mesh(other);
        }
    }
}
