//! Face detection: YuNet 2023mar (OpenCV Zoo) proposes, the landmark network confirms.
//!
//! `FaceFinder::find` is the plan. Its steps are the files of this module: `scales` reduces the picture to what the
//! detector sees, `proposals` runs it, `suppression` leaves one proposal a face, `refinement` weighs one of them alone,
//! `orientation` turns a picture in which nobody is upright. What makes a proposal a face stands in `confirmation`.

mod orientation;
mod proposals;
mod refinement;
mod scales;
mod suppression;

use std::cell::OnceCell;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::proposals::ProposalNetwork;
use self::refinement::Candidate;
pub(crate) use self::scales::Reduced;
use self::scales::Window;
use self::suppression::{SAME_FACE, area, is_apart, overlap};
use crate::alignment::FaceView;
use crate::confirmation::{Evidence, SURE};
use crate::inference::{InferenceError, Network};
use crate::landmarks::{Landmarker, Landmarks};
use crate::occlusion::OcclusionDetector;
use crate::report::Extent;
use picture_cell::{Orientation, Picture};

pub use crate::face::Detection;

/// How faces are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DetectionSettings {
    /// Proposals from this score on are weighed, 0 to 1; below it only the surest from `weak_score` on, when nothing else is a
    /// face. Beside a face weaker ones are refined, too, and count when they reach it then.
    pub min_score: f32,
    /// From this score on a proposal that is too weak to count is refined: the detector runs once more on it alone. Masks and
    /// hands lower the score of a face; things that merely resemble one at a small scale seldom gain at a larger.
    pub weak_score: f32,
    /// What is a face with less than this probability, by detector and landmark network together, is none, 0 to 1.
    pub min_certainty: f32,
    /// Longer side in pixels of what the detector sees first. Smaller is faster, and misses small second faces.
    pub coarse_size: u32,
    /// Longer side in pixels, at most, of the finer scale for small faces.
    pub fine_size: u32,
    /// Width of the border round the picture at the scale for faces that leave it, as a share of the picture's longer
    /// side. A face that leaves the picture is measured up to there.
    pub border: f32,
    /// Faces lower than this share of the picture's shorter side do not matter.
    pub min_face_share: f32,
    /// Search for faces that lie on their side or upside down when the upright picture has no sure one.
    pub try_rotations: bool,
}

impl Default for DetectionSettings {
    fn default() -> Self {
        Self {
            min_score: 0.6,
            weak_score: 0.4,
            min_certainty: 0.5,
            coarse_size: 416,
            fine_size: 640,
            border: 0.15,
            min_face_share: 0.03,
            try_rotations: true,
        }
    }
}

/// A confirmed face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Face {
    pub(crate) detection: Detection,
    pub(crate) evidence: Evidence,
}

/// What was found in a picture.
#[derive(Debug)]
pub(crate) struct Found {
    /// Brings the stored pixels into the position in which the heads are upright.
    pub(crate) upright: Orientation,
    /// Clockwise degrees from the position in which a person sees the picture to `upright`.
    pub(crate) rotation: u16,
    /// Faces in coordinates of the upright picture: the main one, then the others, the largest first.
    pub(crate) faces: Vec<Face>,
    /// The main face's surroundings and landmarks.
    pub(crate) main: Option<(FaceView, Landmarks)>,
    /// The part of the search that went into landmarks.
    pub(crate) mesh_time: Duration,
}

/// Longer side of the picture at the wide scale, with the border of the settings on both sides: for faces that fill the
/// picture or leave it.
const WIDE_SIZE: f32 = 320.0;

/// The other scales serve faces that lie inside the picture.
const NARROW_BORDER: f32 = 0.05;

/// A main face lower than this at the first scale (in pixels of the network's input) asks for a finer one: others that
/// are just large enough to count would be too small to be found.
const SMALL_FACE: f32 = 40.0;

/// The finer scale is what makes the main face this high, and at most `fine_size`.
const FINE_FACE: f32 = 96.0;

/// A plain face that scores this much is upright. Of heads on their side or upside down that were taken for upright ones, with
/// all that speaks for a face, the surest had 0.896 (42 of 450 turned pictures); 96 % of upright ones score more.
const UPRIGHT: f32 = 0.9;

/// A face that is lower than this share of the highest one does not say how that one's head is held.
const UPRIGHT_SHARE: f32 = 0.5;

/// Beside a main face, a proposal that scores at least the first is refined, and one that is higher than `SMALL_FACE`, so that it is
/// seen well, from the second on. Of 1,500 composed pairs, a third of whose second people wore masks while many were blurred or dark,
/// 167 second faces that the first look is not sure of are found so; with the first alone 169, for a fifth more runs (docs/performance.md).
const FURTHER_SCORE: f32 = 0.07;
const LARGE_FURTHER_SCORE: f32 = 0.1;

/// What is lower than this share of the main face would be one face too many by no profile. A proposal is less exact than
/// the box that follows from it, and may be a little lower.
const FURTHER_SHARE: f32 = 0.25;
const FURTHER_PROPOSAL: f32 = 0.9 * FURTHER_SHARE;

/// In a crowd there is nothing left to find out.
const MOST_FURTHER: usize = 4;
const MOST_FACES: usize = 8;

/// A picture that is full of things like faces must not cost without end: so often the landmark network runs at most.
const MOST_MESHES: usize = 24;

/// The detector and the landmark network.
#[derive(Debug)]
pub(crate) struct FaceFinder {
    network: ProposalNetwork,
    landmarker: Landmarker,
    settings: DetectionSettings,
}

/// One picture that is searched.
struct Search<'s> {
    picture: &'s Picture,
    /// For faces that are too covered for landmarks.
    occlusion: &'s mut OcclusionDetector,
    /// How often the landmark network may still run.
    meshes_left: usize,
    /// How long it has taken so far.
    mesh_time: Duration,
    /// The picture at the first scale, and at those that follow when it shows no face; upside down or not, they are the same.
    first: Reduced,
    wide: OnceCell<Reduced>,
    finest: OnceCell<Reduced>,
}

/// What was weighed.
#[derive(Debug, Default)]
struct Weighed {
    faces: Vec<Candidate>,
    /// Proposals that are no faces; whether they are drawings, which stay none however near they are looked at.
    refused: Vec<(Extent, bool)>,
}

impl FaceFinder {
    pub(crate) fn new(network: Network, landmarker: Landmarker, settings: DetectionSettings) -> Self {
        Self { network: ProposalNetwork::new(network), landmarker, settings }
    }

    /// Finds the faces of a picture. An ordinary portrait costs one run of the detector and one mesh.
    pub(crate) fn find(
        &mut self,
        picture: &Picture,
        occlusion: &mut OcclusionDetector,
    ) -> Result<Found, InferenceError> {
        let mut search = Search {
            picture,
            occlusion,
            meshes_left: MOST_MESHES,
            mesh_time: Duration::ZERO,
            first: self.reduce(picture),
            wide: OnceCell::new(),
            finest: OnceCell::new(),
        };
        let mut found = self.upright(&mut search)?;
        let sure = self.settings.min_score.max(UPRIGHT);
        if self.settings.try_rotations && !found.telling().any(|evidence| evidence.is_plain(sure)) {
            let odds = found.telling().map(|evidence| evidence.log_odds()).fold(f32::NEG_INFINITY, f32::max);
            if let Some(turned) = self.turned(&mut search, odds)? {
                let stored = (picture.pixels.width() as f32, picture.pixels.height() as f32);
                found = turned.beside(&found, stored, self.settings.min_score);
            }
        }
        let main = main_of(&found.faces);
        if let Some(main) = main {
            self.follow_lean(&mut search, found.upright, &mut found.faces[main])?;
        }
        Ok(found.ordered(main, self.settings.min_score, search.mesh_time))
    }

    /// The landmarks of a face whose surroundings are at hand.
    pub(crate) fn landmarks(&mut self, view: &FaceView, face: &Detection) -> Result<Landmarks, InferenceError> {
        self.landmarker.run(view, face)
    }

    /// The faces of the picture as it is: those of the first scale, and where that shows none those of further ones.
    fn upright(&mut self, search: &mut Search<'_>) -> Result<Facing, InferenceError> {
        let upright = search.picture.orientation;
        let proposals = self.propose(search.picture, &search.first, upright)?;
        let mut weighed = self.confirm(search, upright, &proposals)?;
        for scale in FurtherScale::ALL {
            if weighed.faces.is_empty() {
                let further = self.propose_further(search, scale, upright)?;
                weighed = self.confirm(search, upright, &further)?;
            }
        }
        self.look_beside(search, upright, &mut weighed, proposals)?;
        Ok(Facing { rotation: 0, upright, faces: weighed.faces, elsewhere: Vec::new() })
    }

    /// Looks for further faces beside the main one among the proposals of the first scale, or where the main one is small there
    /// among those of a finer one.
    fn look_beside(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        weighed: &mut Weighed,
        mut proposals: Vec<Detection>,
    ) -> Result<(), InferenceError> {
        let Some(main) = main_of(&weighed.faces) else { return Ok(()) };
        let picture = search.picture;
        let height = weighed.faces[main].face.detection.extent.height;
        let mut scale = search.first.scale(picture);
        if height * scale < SMALL_FACE {
            let long = picture.pixels.width().max(picture.pixels.height()) as f32 * (1.0 + 2.0 * NARROW_BORDER);
            let fine = self.reduce_fine(picture, long * FINE_FACE / height);
            (proposals, scale) = (self.propose(picture, &fine, upright)?, fine.scale(picture));
        }
        proposals.retain(|p| p.score >= LARGE_FURTHER_SCORE || p.extent.height * scale < SMALL_FACE);
        self.add_further(search, upright, weighed, height, proposals)
    }

    /// The picture at the first scale.
    pub(crate) fn reduce(&self, picture: &Picture) -> Reduced {
        Reduced::new(picture, self.settings.coarse_size as f32, NARROW_BORDER)
    }

    /// Larger, for small faces: `size` pixels and at most those of the settings.
    fn reduce_fine(&self, picture: &Picture, size: f32) -> Reduced {
        Reduced::new(picture, size.min(self.settings.fine_size as f32), NARROW_BORDER)
    }

    /// Proposals at a further scale, for which the picture is reduced once.
    fn propose_further(
        &mut self,
        search: &Search<'_>,
        scale: FurtherScale,
        upright: Orientation,
    ) -> Result<Vec<Detection>, InferenceError> {
        let picture = search.picture;
        let reduced = match scale {
            FurtherScale::Wide => search.wide.get_or_init(|| Reduced::new(picture, WIDE_SIZE, self.settings.border)),
            FurtherScale::Finest => search.finest.get_or_init(|| self.reduce_fine(picture, f32::MAX)),
        };
        self.propose(picture, reduced, upright)
    }

    /// Proposals in the whole picture at one scale that matter, down to those of further faces, the surest first.
    fn propose(
        &mut self,
        picture: &Picture,
        reduced: &Reduced,
        upright: Orientation,
    ) -> Result<Vec<Detection>, InferenceError> {
        let (width, height) = upright.size((picture.pixels.width(), picture.pixels.height()));
        let least = self.settings.weak_score.min(self.settings.min_score).min(FURTHER_SCORE);
        let mut proposals = self.network.run(&Window::whole(picture, reduced, upright), least)?;
        let smallest = self.settings.min_face_share * width.min(height) as f32;
        proposals.retain(|face| face.extent.height >= smallest && face.reaches_into(width, height));
        Ok(proposals)
    }

    /// Weighs the proposals that count, and where none of them is a face the surest of the weak ones.
    fn confirm(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        proposals: &[Detection],
    ) -> Result<Weighed, InferenceError> {
        let (min, weakest) = (self.settings.min_score, self.settings.weak_score);
        let weak = proposals.iter().find(|p| p.score < min && p.score >= weakest);
        let mut weighed = Weighed::default();
        for proposal in proposals.iter().filter(|p| p.score >= min).take(MOST_FACES) {
            self.decide(search, upright, *proposal, &mut weighed)?;
        }
        if let (true, Some(weak)) = (weighed.faces.is_empty(), weak) {
            self.decide(search, upright, *weak, &mut weighed)?;
        }
        Ok(weighed)
    }

    /// Weighs one proposal: it is a face or refused.
    fn decide(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        proposal: Detection,
        weighed: &mut Weighed,
    ) -> Result<(), InferenceError> {
        match self.weigh(search, upright, proposal)? {
            Some(candidate) if self.is_face(&candidate) => weighed.faces.push(candidate),
            Some(candidate) => weighed.refused.push((proposal.extent, candidate.face.evidence.is_drawn())),
            None => {}
        }
        Ok(())
    }

    fn is_face(&self, candidate: &Candidate) -> bool {
        candidate.face.evidence.certainty() >= self.settings.min_certainty
    }

    /// Refines the proposals of further faces beside a main one of this height, and adds those that are faces.
    fn add_further(
        &mut self,
        search: &mut Search<'_>,
        upright: Orientation,
        weighed: &mut Weighed,
        height: f32,
        mut proposals: Vec<Detection>,
    ) -> Result<(), InferenceError> {
        let is_new = |faces: &[Candidate], other: &Detection, share: f32| {
            other.extent.height >= share * height
                && faces.iter().all(|known| is_apart(&known.face.detection.extent, &other.extent))
        };
        // What was refused comes after what nobody has weighed yet, and a drawing not at all.
        let refused = |other: &Detection| {
            let same = |refused: &&(Extent, bool)| overlap(&refused.0, &other.extent) > SAME_FACE;
            weighed.refused.iter().find(same).map(|&(_, is_drawn)| is_drawn)
        };
        proposals.retain(|other| is_new(&weighed.faces, other, FURTHER_PROPOSAL) && refused(other) != Some(true));
        proposals.sort_by_key(|other| refused(other).is_some());
        proposals.truncate(MOST_FURTHER);
        for proposal in proposals {
            let refined = self.refine_further(search.picture, upright, &proposal)?;
            let counts =
                |face: &Detection| face.score >= self.settings.min_score && is_new(&weighed.faces, face, FURTHER_SHARE);
            if let Some(refined) = refined.filter(counts) {
                self.decide(search, upright, refined, weighed)?;
            }
        }
        Ok(())
    }
}

/// A scale that is looked at where the first shows no face.
#[derive(Clone, Copy)]
enum FurtherScale {
    /// With a wide border, for faces that fill the picture or leave it.
    Wide,
    /// As fine as the settings allow, for small faces.
    Finest,
}

impl FurtherScale {
    const ALL: [Self; 2] = [Self::Wide, Self::Finest];
}

/// What was confirmed in one position of the picture.
struct Facing {
    rotation: u16,
    upright: Orientation,
    faces: Vec<Candidate>,
    /// Faces of a position that was given up, in coordinates of this one.
    elsewhere: Vec<Face>,
}

impl Facing {
    /// The evidence of the faces that tell how heads are held here.
    fn telling(&self) -> impl Iterator<Item = &Evidence> {
        let height = |candidate: &Candidate| candidate.face.detection.extent.height;
        let least = UPRIGHT_SHARE * self.faces.iter().map(height).fold(0.0, f32::max);
        self.faces.iter().filter(move |candidate| height(candidate) >= least).map(|candidate| &candidate.face.evidence)
    }

    /// With those who were found upright in `given_up`: beside somebody who lies somebody may sit.
    fn beside(mut self, given_up: &Self, stored: (f32, f32), min_score: f32) -> Self {
        let turn = given_up.upright.inverse().then(self.upright);
        let size = given_up.upright.size(stored);
        let plain = given_up.faces.iter().filter(|candidate| candidate.face.evidence.is_plain(min_score));
        let turned = |face: Face| Face { detection: face.detection.turned(turn, size), ..face };
        let apart = |face: &Face, other: &Face| is_apart(&face.detection.extent, &other.detection.extent);
        let Some(main) = main_of(&self.faces).map(|main| self.faces.swap_remove(main)) else { return self };
        self.elsewhere = plain.map(|candidate| turned(candidate.face)).filter(|it| apart(&main.face, it)).collect();
        // Who was found upright there is seen worse from here.
        self.faces.retain(|candidate| self.elsewhere.iter().all(|other| apart(&candidate.face, other)));
        self.faces.push(main);
        self
    }

    /// The answer: the main face first, the others by size.
    fn ordered(self, main: Option<usize>, min_score: f32, mesh_time: Duration) -> Found {
        let Self { rotation, upright, mut faces, elsewhere } = self;
        let main = main.map(|main| faces.swap_remove(main));
        faces.retain(|candidate| candidate.face.evidence.counts_beside(min_score));
        let mut others: Vec<_> = faces.iter().map(|candidate| candidate.face).chain(elsewhere).collect();
        others.sort_by(|a, b| area(&b.detection.extent).total_cmp(&area(&a.detection.extent)));
        let all = main.iter().map(|candidate| candidate.face).chain(others).collect();
        Found { upright, rotation, faces: all, main: main.map(|main| (main.view, main.landmarks)), mesh_time }
    }
}

/// The main face: the largest of those that are sure, and where none is, the surest.
fn main_of(faces: &[Candidate]) -> Option<usize> {
    let rank = |candidate: &Candidate| {
        let odds = candidate.face.evidence.log_odds();
        if odds >= SURE { (1, area(&candidate.face.detection.extent)) } else { (0, odds) }
    };
    let compare = |a: &(u8, f32), b: &(u8, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    faces.iter().enumerate().max_by(|a, b| compare(&rank(a.1), &rank(b.1))).map(|(index, _)| index)
}

impl Detection {
    /// The longer side of the box in pixels of the picture.
    fn longer_side(&self) -> f32 {
        self.extent.width.max(self.extent.height)
    }

    /// Whether any of it lies inside a picture of this size.
    fn reaches_into(&self, width: usize, height: usize) -> bool {
        let e = &self.extent;
        e.left + e.width > 1.0 && e.top + e.height > 1.0 && e.left < width as f32 - 1.0 && e.top < height as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use picture_cell::Pixels;

    use super::*;
    use crate::inference::{Blueprint, Clock, Runtime};

    #[test]
    fn each_scale_is_as_large_as_the_settings_say() {
        let files = testkit::models();
        let runtime = Runtime::load(&files.onnx_runtime).expect("ONNX Runtime");
        let network = |path| {
            let blueprint = Blueprint::draw(&runtime, path).expect("a network");
            Network::load(&blueprint, &Clock::default()).expect("a network")
        };
        let settings = DetectionSettings { coarse_size: 220, fine_size: 330, ..DetectionSettings::default() };
        let finder = FaceFinder::new(network(&files.detector), Landmarker::new(network(&files.landmarks)), settings);
        let pixels = Pixels::black(1_000, 500);
        let picture = Picture { pixels, orientation: Orientation::UPRIGHT, exif_orientation: 1, format: "none" };
        // The longer side, with a twentieth of it on both ends.
        assert_eq!(finder.reduce(&picture).scale(&picture), 0.2);
        assert_eq!(finder.reduce_fine(&picture, f32::MAX).scale(&picture), 0.3);
        assert_eq!(finder.reduce_fine(&picture, 110.0).scale(&picture), 0.1);
    }
}
