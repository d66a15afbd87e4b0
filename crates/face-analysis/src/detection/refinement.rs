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
use crate::report::Extent;
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

/// A face that is this near to the border of the picture, as a share of its longer side, may be cut by it. There the mesh is
/// a guess, and the detector sees where the picture ends: an edge of the box at the border is the detector's, one this far from it
/// the mesh's, between by degrees (docs/accuracy.md has what each is worth).
const BORDER_SHARE: f32 = 0.02;

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
        let size = upright.size((search.picture.pixels.width(), search.picture.pixels.height()));
        if candidate.face.evidence.is_drawn() {
            return Ok(Some(candidate));
        }
        if candidate.face.evidence.is_plain(self.settings.min_score) && !candidate.may_be_cut(size) {
            candidate.take_box_of_mesh(size);
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
            candidate.take_box_of_mesh(size);
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
                let (width, height) = (search.picture.pixels.width(), search.picture.pixels.height());
                candidate.take_box_of_mesh(upright.size((width, height)));
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
    /// Whether the picture may cut the face, by the mesh or by the detector.
    fn may_be_cut(&self, size: (usize, usize)) -> bool {
        let mesh = face_box::from_landmarks(&self.landmarks.points).extent;
        [mesh, self.face.detection.extent].iter().any(|e| margins(e, size).iter().any(|margin| *margin < BORDER_SHARE))
    }

    /// Takes the edges of the mesh's box that are inside the picture, and its points where all are.
    fn take_box_of_mesh(&mut self, size: (usize, usize)) {
        let whole = !self.may_be_cut(size);
        let mesh = face_box::from_landmarks(&self.landmarks.points).extent;
        self.face.detection.extent = of_both(&self.face.detection.extent, &mesh, margins(&mesh, size));
        if whole {
            let landmarks = &self.landmarks;
            self.face.detection.keypoints = face_box::keypoints_of(&landmarks.points, landmarks.roll());
        }
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

/// How far the left, upper, right and lower edge are inside the picture, as a share of the longer side.
fn margins(e: &Extent, size: (usize, usize)) -> [f32; 4] {
    let (right, bottom) = (size.0 as f32 - e.left - e.width, size.1 as f32 - e.top - e.height);
    [e.left, e.top, right, bottom].map(|margin| margin / e.width.max(e.height))
}

/// Each edge of the mesh's box that is well inside the picture, of the detector's where it is not; the detector's box where that
/// gives none.
fn of_both(detector_box: &Extent, mesh_box: &Extent, margins: [f32; 4]) -> Extent {
    let edges = |e: &Extent| [e.left, e.top, e.left + e.width, e.top + e.height];
    let (detector, mesh) = (edges(detector_box), edges(mesh_box));
    let [left, top, right, bottom] = std::array::from_fn(|i| {
        let inside = (margins[i] / BORDER_SHARE).clamp(0.0, 1.0);
        detector[i] + (mesh[i] - detector[i]) * inside
    });
    let (width, height) = (right - left, bottom - top);
    if width > 0.0 && height > 0.0 { Extent { left, top, width, height } } else { *detector_box }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETECTOR: Extent = Extent { left: 10.0, top: -6.0, width: 80.0, height: 100.0 };

    #[test]
    fn an_edge_is_the_meshes_where_it_is_well_inside_the_picture() {
        let mesh = Extent { left: 20.0, top: -2.0, width: 80.0, height: 100.0 };
        // By hand: the left edge is the mesh's, the upper one the detector's, of the right one (90 and 100) half, of the
        // lower one (94 and 98) the mesh's.
        let both = of_both(&DETECTOR, &mesh, [0.2, -0.02, 0.01, 0.02]);
        assert_eq!(both, Extent { left: 20.0, top: -6.0, width: 75.0, height: 104.0 });
        assert_eq!(margins(&mesh, (110, 100)), [0.2, -0.02, 0.1, 0.02]);
    }

    #[test]
    fn two_boxes_that_have_none_between_them_leave_the_detectors() {
        let beyond = Extent { left: 200.0, ..DETECTOR };
        assert_eq!(of_both(&DETECTOR, &beyond, [1.0, 1.0, -1.0, 1.0]), DETECTOR);
        assert_eq!(of_both(&DETECTOR, &beyond, [f32::NAN; 4]), DETECTOR);
    }
}
