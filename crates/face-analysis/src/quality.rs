//! Capture quality: components named and scaled (0 worst, 100 best) as in ISO/IEC 29794-5.
//!
//! Formulas and constants are those of the standard's open reference implementation, OFIQ (github.com/BSI-OFIQ/
//! OFIQ-Project): `OFIQlib/modules/measures/src/*.cpp`, `utils/src/{utils,image_utils}.cpp`,
//! `landmarks/src/FaceMeasures.cpp` and the settings of `data/ofiq_config.jaxn`; the file is named at each component.
//! What differs:
//!
//! - Landmarks are MediaPipe's 478 points, not ADNet's 98. Those that correspond to ADNet's are used, also for the
//!   face region (the hull of the jaw from ear to ear and the eyebrows, without the forehead).
//! - Pixels of the face region are counted in the reduced view of the face, not in OFIQ's 616 x 616 alignment, and
//!   nothing is taken out of it where something covers the face (OFIQ's exposure components use a segmentation).
//! - Everything is measured in the picture turned so that the head is upright: a portrait stored on its side is no
//!   worse than one that stands.
//! - `sharpness` and `compression_artifacts` measure what the standard names so with formulas of our own: OFIQ has
//!   networks for them (a random forest and a CNN), whose values cannot be compared with these.
//!
//! A component that cannot be measured is left out.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::alignment::{FaceView, Similarity, resize};
use crate::detection::Found;
use crate::landmarks::Landmarks;
use crate::report::{Pose, QualityComponent};
use picture_cell::Picture;
use picture_cell::{Area, Orientation, Pixels};

/// One component: how its native value is measured, and what it is worth from 0 to 100.
struct Component {
    name: &'static str,
    /// `None` when there is nothing to measure.
    measure: fn(&Capture<'_>) -> Option<f64>,
    value: fn(f64) -> f64,
}

/// All components. A new one is an entry here and a function.
static COMPONENTS: [Component; 18] = [
    Component { name: "inter_eye_distance", measure: inter_eye_distance, value: |d| 100.0 * sigmoid(d, 70.0, 20.0) },
    Component { name: "head_size", measure: head_size, value: value_of_head_size },
    Component { name: "leftward_crop", measure: leftward_crop, value: |d| 100.0 * sigmoid(d, 0.9, 0.1) },
    Component { name: "rightward_crop", measure: rightward_crop, value: |d| 100.0 * sigmoid(d, 0.9, 0.1) },
    Component { name: "margin_above", measure: margin_above, value: |d| 100.0 * sigmoid(d, 1.4, 0.1) },
    Component { name: "margin_below", measure: margin_below, value: |d| 100.0 * sigmoid(d, 1.8, 0.1) },
    Component { name: "luminance_mean", measure: |c| c.face_light().map(Histogram::mean), value: value_of_mean },
    Component {
        name: "luminance_variance",
        measure: |c| c.face_light().map(Histogram::variance),
        value: value_of_variance,
    },
    Component {
        name: "under_exposure_prevention",
        measure: |c| c.face_light().map(|light| light.share(DARK)),
        value: |share| 120.0 * (0.832 - sigmoid(share, 0.92, 0.05)),
    },
    Component {
        name: "over_exposure_prevention",
        measure: |c| c.face_light().map(|light| light.share(BRIGHT)),
        value: |share| 1.0 / (share + 0.01),
    },
    Component { name: "dynamic_range", measure: |c| c.face_light().map(Histogram::entropy), value: |bits| 12.5 * bits },
    Component {
        name: "illumination_uniformity",
        measure: illumination_uniformity,
        value: |common| 100.0 * common.powf(0.3),
    },
    Component { name: "single_face_present", measure: second_face, value: |share| 100.0 * (1.0 - share) },
    Component { name: "head_pose_yaw", measure: |c| c.pose.map(|p| p.yaw.into()), value: value_of_angle },
    Component { name: "head_pose_pitch", measure: |c| c.pose.map(|p| p.pitch.into()), value: value_of_angle },
    Component { name: "head_pose_roll", measure: |c| c.pose.map(|p| p.roll.into()), value: value_of_angle },
    Component { name: "sharpness", measure: edge_blur, value: value_of_blur },
    Component { name: "compression_artifacts", measure: blocking, value: value_of_blocking },
];

/// Measures every component of the main face.
pub(crate) fn measure(
    picture: &Picture,
    found: &Found,
    view: &FaceView,
    landmarks: &Landmarks,
    pose: Option<Pose>,
) -> BTreeMap<&'static str, QualityComponent> {
    let capture = Capture::new(picture, found, view, landmarks, pose);
    let rated = |c: &Component| Some((c.name, rate((c.measure)(&capture)?, c.value)?));
    COMPONENTS.iter().filter_map(rated).collect()
}

/// The component of a native value; `None` when that is no number.
fn rate(raw: f64, value: fn(f64) -> f64) -> Option<QualityComponent> {
    let value = value(raw);
    let component = QualityComponent { raw: raw as f32, value: value.round().clamp(0.0, 100.0) as u8 };
    (component.raw.is_finite() && !value.is_nan()).then_some(component)
}

/// What the components are measured in. Points are those of the upright picture.
struct Capture<'a> {
    picture: &'a Picture,
    found: &'a Found,
    view: &'a FaceView,
    landmarks: &'a Landmarks,
    pose: Option<Pose>,
    /// Centres of the eyes, the one on the left of the picture (the person's right) first.
    eyes: [[f64; 2]; 2],
    /// Width and height of the upright picture.
    size: [f64; 2],
    /// The light on the face region; `None` when no pixel of it is in the picture.
    light: Option<Histogram>,
}

/// Corners of the eyes, whose middles are the centres of the eyes (ADNet 60, 64 and 68, 72).
const EYE_CORNERS: [[usize; 2]; 2] = [[33, 133], [362, 263]];

/// The lowest point of the chin (ADNet 16).
const CHIN: usize = 152;

/// The middles of the inner rims of the lips (ADNet 90 and 94).
const LIPS: [usize; 2] = [13, 14];

/// Tip of the nose (ADNet 54) and the corners of the mouth, the left one in the picture first (76 and 82).
const NOSE: usize = 4;
const MOUTH_CORNERS: [usize; 2] = [61, 291];

/// The jaw from ear to ear and the upper rims of the eyebrows: what lies outside among ADNet's points.
const FACE_REGION: [usize; 33] = [
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
];

impl<'a> Capture<'a> {
    fn new(
        picture: &'a Picture,
        found: &'a Found,
        view: &'a FaceView,
        landmarks: &'a Landmarks,
        pose: Option<Pose>,
    ) -> Self {
        let (width, height) = found.upright.size((picture.pixels.width(), picture.pixels.height()));
        let region = convex_hull(FACE_REGION.map(|i| point(landmarks, i)).map(|p| view.point(p.map(|v| v as f32))));
        Self {
            picture,
            found,
            view,
            landmarks,
            pose,
            eyes: EYE_CORNERS.map(|corners| middle(corners.map(|i| point(landmarks, i)))),
            size: [width as f64, height as f64],
            light: Histogram::of_region(view.pixels(), &region),
        }
    }

    fn face_light(&self) -> Option<&Histogram> {
        self.light.as_ref()
    }

    /// Distance of the centres of the eyes; `None` when they coincide.
    fn eye_distance(&self) -> Option<f64> {
        Some(distance(self.eyes[0], self.eyes[1])).filter(|d| *d > 0.0)
    }

    /// From the middle between the eyes to the chin (utils.cpp, T-metric); `None` when they coincide.
    fn face_height(&self) -> Option<f64> {
        Some(distance(middle(self.eyes), point(self.landmarks, CHIN))).filter(|d| *d > 0.0)
    }

    fn mouth(&self) -> [f64; 2] {
        middle(LIPS.map(|i| point(self.landmarks, i)))
    }
}

/// A landmark; no number when the network answered with fewer.
fn point(landmarks: &Landmarks, index: usize) -> [f64; 2] {
    landmarks.points.get(index).map_or([f64::NAN; 2], |p| [p[0].into(), p[1].into()])
}

fn middle([a, b]: [[f64; 2]; 2]) -> [f64; 2] {
    [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The logistic curve with which OFIQ scales most components (Measure.h): 0.5 at `middle`, steeper for small `width`.
fn sigmoid(x: f64, middle: f64, width: f64) -> f64 {
    1.0 / (1.0 + ((middle - x) / width).exp())
}

// ------------------------------------------------------------------------------------------------- size and place

/// A head turned further than this (84 degrees) counts as turned so far: the projected distance says nothing more.
const MIN_COSINE: f64 = 0.1;

/// Pixels between the eyes as if the head were not turned to the side (InterEyeDistance.cpp, FaceMeasures.cpp).
fn inter_eye_distance(c: &Capture<'_>) -> Option<f64> {
    let yaw = c.pose.map_or(0.0, |pose| f64::from(pose.yaw));
    Some(c.eye_distance()? / yaw.to_radians().cos().max(MIN_COSINE))
}

/// Face height relative to the height of the picture (HeadSize.cpp).
fn head_size(c: &Capture<'_>) -> Option<f64> {
    Some(c.face_height()? / c.size[1])
}

/// Best at 0.45, worse when the head is smaller or larger.
fn value_of_head_size(size: f64) -> f64 {
    200.0 * (1.0 - sigmoid((size - 0.45).abs(), 0.0, 0.05))
}

/// Distance in eye distances from the left border to the eye that is further from it (CropOfTheFaceImage.cpp).
///
/// The further eye is what OFIQ measures, although 0.9 as the middle of the scale would suit the nearer one: in the
/// published conformance table the two crops of a picture add up to its width plus one eye distance (3024 pixels for
/// `c-01-frontal.png`), not less one.
fn leftward_crop(c: &Capture<'_>) -> Option<f64> {
    Some(c.eyes[1][0] / c.eye_distance()?)
}

/// Distance in eye distances from the right border to the eye that is further from it.
fn rightward_crop(c: &Capture<'_>) -> Option<f64> {
    Some((c.size[0] - c.eyes[0][0]) / c.eye_distance()?)
}

/// Distance in face heights from the upper border to the eyes (CropOfTheFaceImage.cpp, scales of ofiq_config.jaxn).
fn margin_above(c: &Capture<'_>) -> Option<f64> {
    Some(middle(c.eyes)[1] / c.face_height()?)
}

/// Distance in face heights from the lower border to the eyes.
fn margin_below(c: &Capture<'_>) -> Option<f64> {
    Some((c.size[1] - middle(c.eyes)[1]) / c.face_height()?)
}

/// Root of the second largest face's area relative to the largest's; 0 when there is one face (SingleFacePresent.cpp).
fn second_face(c: &Capture<'_>) -> Option<f64> {
    let area = |i: usize| {
        c.found.faces.get(i).map(|f| f64::from(f.detection.extent.width) * f64::from(f.detection.extent.height))
    };
    let largest = area(0).filter(|a| *a > 0.0)?;
    Some((area(1).unwrap_or(0.0) / largest).max(0.0).sqrt())
}

/// The square of the angle's cosine (HeadPose.cpp), and nothing for a head that is turned away.
fn value_of_angle(degrees: f64) -> f64 {
    100.0 * degrees.to_radians().cos().max(0.0).powi(2)
}

// ---------------------------------------------------------------------------------------------------------- light

/// Bins of the histogram that count as too dark and as too bright (UnderExposurePrevention.cpp,
/// OverExposurePrevention.cpp).
const DARK: [usize; 2] = [0, 25];
const BRIGHT: [usize; 2] = [247, 255];

/// Each sRGB sample as linear light, 0 to 1 (image_utils.cpp; IEC 61966-2-1).
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|sample| {
        let x = sample as f32 / 255.0;
        if x > 0.04045 { ((x + 0.055) / 1.055).powf(2.4) } else { x / 12.92 }
    })
});

/// Luminance of a pixel in 256 steps (image_utils.cpp; weights of ITU-R BT.709).
fn luminance(linear: &[f32; 256], [r, g, b]: [u8; 3]) -> usize {
    let y = 0.2126 * linear[usize::from(r)] + 0.7152 * linear[usize::from(g)] + 0.0722 * linear[usize::from(b)];
    ((y * 255.0 + 0.5) as usize).min(255)
}

/// How the luminance is distributed: the share of each of its 256 steps.
struct Histogram {
    shares: [f64; 256],
}

impl Histogram {
    /// `None` when nothing was counted.
    fn new(counts: &[u32; 256]) -> Option<Self> {
        let sum = counts.iter().map(|&n| f64::from(n)).sum::<f64>();
        (sum > 0.0).then(|| Self { shares: counts.map(|n| f64::from(n) / sum) })
    }

    /// The pixels whose centres lie in a convex polygon.
    fn of_region(pixels: &Pixels, hull: &[[f32; 2]]) -> Option<Self> {
        let linear = &*LINEAR;
        let mut counts = [0; 256];
        let (low, high) = hull.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |s, p| (s.0.min(p[1]), s.1.max(p[1])));
        // Casts take negative numbers to zero and large ones to the largest.
        for y in (low as usize)..(high.max(0.0).ceil() as usize).min(pixels.height()) {
            let (left, right) = span(hull, y as f32 + 0.5);
            let from = (left - 0.5).ceil().max(0.0) as usize;
            let to = ((right + 0.5).floor().max(0.0) as usize).min(pixels.width());
            if from < to {
                for pixel in pixels.row(y)[from * 3..to * 3].as_chunks::<3>().0 {
                    counts[luminance(linear, *pixel)] += 1;
                }
            }
        }
        Self::new(&counts)
    }

    /// 0 to 1 (Luminance.cpp).
    fn mean(&self) -> f64 {
        self.shares.iter().enumerate().map(|(step, share)| share * step as f64 / 255.0).sum()
    }

    /// Of luminances from 0 to 1 (Luminance.cpp).
    fn variance(&self) -> f64 {
        let mean = self.mean();
        self.shares.iter().enumerate().map(|(step, share)| share * (step as f64 / 255.0 - mean).powi(2)).sum()
    }

    /// Share of the pixels from one step up to another.
    fn share(&self, [from, to]: [usize; 2]) -> f64 {
        self.shares[from..=to].iter().sum()
    }

    /// Bits (DynamicRange.cpp).
    fn entropy(&self) -> f64 {
        // Adding 0 turns the -0 of a single step into 0.
        self.shares.iter().filter(|s| **s > 0.0).map(|s| -s * s.log2()).sum::<f64>() + 0.0
    }

    /// What two distributions have in common, 0 to 1.
    fn intersection(&self, other: &Self) -> f64 {
        self.shares.iter().zip(&other.shares).map(|(a, b)| a.min(*b)).sum()
    }
}

/// Good from 0.3 to 0.7 (Luminance.cpp).
fn value_of_mean(mean: f64) -> f64 {
    100.0 * sigmoid(mean, 0.2, 0.05) * (1.0 - sigmoid(mean, 0.8, 0.05))
}

/// Best at 1/60, worse for a flat picture as for one of hard contrasts (Luminance.cpp).
fn value_of_variance(variance: f64) -> f64 {
    100.0 * (60.0 * variance / (60.0 * variance + 1.0) * std::f64::consts::PI).sin()
}

/// Where OFIQ's alignment puts the eyes, the tip of the nose and the corners of the mouth (utils.cpp).
const ALIGNED: [[f32; 2]; 5] = [[251.0, 272.0], [364.0, 272.0], [308.0, 336.0], [262.0, 402.0], [355.0, 402.0]];

/// Side of the squares on the cheeks in eye distances (image_utils.cpp).
const CHEEK: f64 = 0.3;

/// The largest such side in pixels of the aligned face, where the eyes should be 113 apart.
const MAX_CHEEK: usize = 100;

/// What the distributions of the light on both cheeks have in common, 0 to 1 (IlluminationUniformity.cpp).
///
/// The cheeks are two squares below the eyes, half way to the mouth, that reach from the line down from each eye
/// towards the nose. How much two histograms of 256 steps have in common depends on the number of pixels in them, so
/// that the squares are sampled in the scale of OFIQ's alignment.
fn illumination_uniformity(c: &Capture<'_>) -> Option<f64> {
    let seen = |p: [f64; 2]| p.map(|v| v as f32);
    let corners = MOUTH_CORNERS.map(|i| point(c.landmarks, i));
    let points = [c.eyes[0], c.eyes[1], point(c.landmarks, NOSE), corners[0], corners[1]].map(seen);
    let to_aligned = Similarity::fit(&points, &ALIGNED);
    let from_aligned = to_aligned.inverse();
    let aligned = |p: [f64; 2]| to_aligned.apply(seen(p)).map(f64::from);
    let eyes = c.eyes.map(aligned);
    let side = CHEEK * distance(eyes[0], eyes[1]);
    let down = distance(middle(eyes), aligned(c.mouth())) / 2.0;
    if !(1.0..=MAX_CHEEK as f64).contains(&side) || !down.is_finite() {
        return None;
    }
    let side = side.floor();
    let light = |left: f64, top: f64| {
        let linear = &*LINEAR;
        let mut counts = [0; 256];
        for y in 0..side as usize {
            for x in 0..side as usize {
                let at = from_aligned.apply([(left + x as f64 + 0.5) as f32, (top + y as f64 + 0.5) as f32]);
                counts[luminance(linear, c.view.at(at).map(|v| v.round() as u8))] += 1;
            }
        }
        Histogram::new(&counts)
    };
    let on_left = light(eyes[0][0], eyes[0][1] + down)?;
    let on_right = light(eyes[1][0] - side, eyes[1][1] + down)?;
    Some(on_left.intersection(&on_right))
}

/// The smallest convex polygon round the points that are numbers (Andrew's monotone chain).
fn convex_hull<const N: usize>(points: [[f32; 2]; N]) -> Vec<[f32; 2]> {
    let mut points: Vec<[f32; 2]> = points.into_iter().filter(|p| p[0].is_finite() && p[1].is_finite()).collect();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let mut hull: Vec<[f32; 2]> = Vec::with_capacity(points.len() + 1);
    let backward: Vec<_> = points.iter().rev().copied().collect();
    for half in [points, backward] {
        let start = hull.len();
        for p in half {
            while hull.len() >= start + 2 {
                let (a, b) = (hull[hull.len() - 2], hull[hull.len() - 1]);
                if (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0.0 {
                    break;
                }
                hull.pop();
            }
            hull.push(p);
        }
        hull.pop();
    }
    hull
}

/// The stretch of a line at height `y` that lies in a convex polygon; empty (infinite to minus infinite) outside.
fn span(hull: &[[f32; 2]], y: f32) -> (f32, f32) {
    let next = hull.iter().cycle().skip(1);
    hull.iter().zip(next).fold((f32::INFINITY, f32::NEG_INFINITY), |(left, right), (a, b)| {
        if (a[1] <= y) == (b[1] <= y) {
            return (left, right);
        }
        let x = a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
        (left.min(x), right.max(x))
    })
}

// ------------------------------------------------------------------------------------- sharpness and compression

/// Squares round the eyes and the mouth are looked at for edges; their side in eye distances and in pixels.
const EDGE_SQUARE: f64 = 0.6;
const EDGE_PIXELS: [f64; 2] = [24.0, 288.0];

/// Beyond this eye distance in pixels the squares are reduced: finer blur does not matter to a face.
const FINEST: f64 = 180.0;

/// Standard deviation of the blur that is added, in eye distances and at least in pixels.
const ADDED_BLUR: f64 = 0.02;
const LEAST_ADDED_BLUR: f64 = 1.0;

/// The share of the pixels, those where the blurred picture is steepest, that counts as edges.
const EDGES: f64 = 0.1;

/// The largest blur that is told, in eye distances: no feature of a face would be left.
const MAX_BLUR: f64 = 0.25;

/// Ours: how blurred the edges at the eyes and the mouth are: the standard deviation of the Gaussian that would blur
/// an ideal step so, in eye distances.
///
/// Blurring a step once more weakens its gradient by a factor that tells how blurred it was before, whatever its
/// contrast (Zhuo and Sim, Defocus map estimation from a single image, 2011). Their formula holds for the crest of a
/// step; here it is applied to the steepest tenth of the pixels, for which a blur of 1 to 3 pixels, added to a
/// portrait with 83 pixels between the eyes, is found again within an eighth (lone wide steps are read up to half too
/// wide). Noise looks sharp. The pixels are those of the picture itself up to an eye distance of 180.
fn edge_blur(c: &Capture<'_>) -> Option<f64> {
    let eye_distance = c.eye_distance()?;
    let reduction = (eye_distance / FINEST).ceil().max(1.0);
    let added = (ADDED_BLUR * eye_distance / reduction).max(LEAST_ADDED_BLUR);
    let side = (EDGE_SQUARE * eye_distance).clamp(EDGE_PIXELS[0], EDGE_PIXELS[1]);
    let mut energy = [0.0; 2];
    for center in [c.eyes[0], c.eyes[1], c.mouth()] {
        let Some(area) = stored_area(c, [center[0] - side / 2.0, center[1] - side / 2.0], [side, side]) else {
            continue;
        };
        let reduced = |length: usize| (length as f64 / reduction) as usize;
        let (columns, rows) = (reduced(area.width), reduced(area.height));
        if columns == 0 || rows == 0 {
            continue;
        }
        let square =
            if reduction > 1.0 { resize(&c.picture.pixels, area, columns, rows) } else { c.picture.pixels.crop(area) };
        let [before, after] = edge_energy(&Plane::of(&square), added);
        energy = [energy[0] + before, energy[1] + after];
    }
    Some((blur_before(energy, added)? * reduction / eye_distance).min(MAX_BLUR))
}

/// Ours: 50 at a blur of 0.03 eye distances, as of two pixels where the eyes are 67 apart.
fn value_of_blur(blur: f64) -> f64 {
    100.0 * (1.0 - sigmoid(blur, 0.03, 0.007))
}

/// The blur of steps whose gradient has these energies before and after a blur by `added` more; infinite when that
/// changed nothing. `None` without any step.
fn blur_before([before, after]: [f64; 2], added: f64) -> Option<f64> {
    if after <= 0.0 {
        return None;
    }
    let excess = before / after - 1.0;
    Some(if excess > 0.0 { added / excess.sqrt() } else { f64::INFINITY })
}

/// Energies of the gradient at the edges of a picture before and after a Gaussian blur.
fn edge_energy(plane: &Plane, blur: f64) -> [f64; 2] {
    let kernel = Kernel::gaussian(blur);
    let blurred = plane.blurred(&kernel);
    // Near the border the blur sees repeated pixels, and the gradient needs the next pixel.
    let within = |length: usize| kernel.reach..length.saturating_sub(kernel.reach + 1);
    let mut energies = Vec::with_capacity(plane.data.len());
    for y in within(plane.height) {
        for x in within(plane.width) {
            energies.push([plane.gradient_energy(x, y), blurred.gradient_energy(x, y)]);
        }
    }
    let flat = (energies.len() as f64 * (1.0 - EDGES)) as usize;
    if flat >= energies.len() {
        return [0.0; 2];
    }
    energies.select_nth_unstable_by(flat, |a, b| a[1].total_cmp(&b[1]));
    energies[flat..].iter().fold([0.0; 2], |s, e| [s[0] + f64::from(e[0]), s[1] + f64::from(e[1])])
}

/// Weights of a blur along a line, from `reach` pixels before to `reach` pixels after.
struct Kernel {
    reach: usize,
    weights: Vec<f32>,
}

impl Kernel {
    fn gaussian(deviation: f64) -> Self {
        let reach = (3.0 * deviation).ceil() as usize;
        let weight = |i: usize| (-0.5 * ((i as f64 - reach as f64) / deviation).powi(2)).exp();
        let sum: f64 = (0..=2 * reach).map(weight).sum();
        Self { reach, weights: (0..=2 * reach).map(|i| (weight(i) / sum) as f32).collect() }
    }
}

/// Brightness as it is stored (not linear light), 0 to 255.
struct Plane {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

/// Brightness of a pixel as JPEG codes it (ITU-R BT.601).
fn brightness([r, g, b]: [u8; 3]) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

impl Plane {
    fn of(pixels: &Pixels) -> Self {
        let data = pixels.data().as_chunks::<3>().0.iter().map(|p| brightness(*p)).collect();
        Self { width: pixels.width(), height: pixels.height(), data }
    }

    /// Pixels at the border repeat.
    fn blurred(&self, kernel: &Kernel) -> Self {
        let rows = blurred_rows(&self.data, self.width, kernel);
        let columns = blurred_rows(&transposed(&rows, self.width), self.height, kernel);
        Self { width: self.width, height: self.height, data: transposed(&columns, self.height) }
    }

    /// Squared length of the difference to the next pixels. Panics in the last row and column.
    fn gradient_energy(&self, x: usize, y: usize) -> f32 {
        let at = y * self.width + x;
        let here = self.data[at];
        (self.data[at + 1] - here).powi(2) + (self.data[at + self.width] - here).powi(2)
    }
}

fn transposed(data: &[f32], width: usize) -> Vec<f32> {
    let height = data.len() / width;
    let mut out = Vec::with_capacity(data.len());
    for x in 0..width {
        out.extend((0..height).map(|y| data[y * width + x]));
    }
    out
}

fn blurred_rows(data: &[f32], width: usize, kernel: &Kernel) -> Vec<f32> {
    let mut out = vec![0.0; data.len()];
    let mut padded = vec![0.0; width + 2 * kernel.reach];
    for (row, out) in data.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        for (i, value) in padded.iter_mut().enumerate() {
            *value = row[i.saturating_sub(kernel.reach).min(width - 1)];
        }
        for (shift, weight) in kernel.weights.iter().enumerate() {
            for (sum, value) in out.iter_mut().zip(&padded[shift..]) {
                *sum += weight * value;
            }
        }
    }
    out
}

/// At most this many blocks along each side of the face are looked at.
const BLOCKS: usize = 24;

/// Side of the blocks in which JPEG codes brightness.
const BLOCK: usize = 8;

/// A small face is looked at together with what is round it, to this many pixels: too few blocks tell nothing.
const LEAST_LOOK: f64 = 160.0;

/// Ours: how far the steps at every eighth pixel exceed those at all others, relative to the mean step (in each
/// direction, plus one level of noise), as the blocks of JPEG leave them.
///
/// A classical blockiness measure (as Wang, Sheikh and Bovik, No-reference perceptual quality assessment of JPEG
/// compressed images, 2002, but for all eight places of the grid, so that a picture may have been cropped after it
/// was compressed). It does not see compression from before a resizing, nor that of formats which smooth their
/// blocks.
fn blocking(c: &Capture<'_>) -> Option<f64> {
    let region = FACE_REGION.map(|i| point(c.landmarks, i));
    let low = region.iter().fold([f64::INFINITY; 2], |s, p| [s[0].min(p[0]), s[1].min(p[1])]);
    let high = region.iter().fold([f64::NEG_INFINITY; 2], |s, p| [s[0].max(p[0]), s[1].max(p[1])]);
    let size = [0, 1].map(|i| (high[i] - low[i]).max(LEAST_LOOK));
    let center = middle([low, high]);
    let area = stored_area(c, [center[0] - size[0] / 2.0, center[1] - size[1] / 2.0], size)?;
    // Each sample is a block and the first pixels after it, so that each place in the grid is looked at equally often.
    let starts = |from: usize, length: usize| {
        let last = length.checked_sub(BLOCK + 1)?;
        let count = BLOCKS.min(last / BLOCK + 1);
        Some((0..count).map(move |i| from + i * last / (count - 1).max(1)))
    };
    let (rows, columns) = (starts(area.top, area.height)?, starts(area.left, area.width)?);
    let (mut across, mut down) = ([0.0; BLOCK], [0.0; BLOCK]);
    let mut blocks = 0;
    let at = |x: usize, y: usize| brightness(c.picture.pixels.at(x, y));
    for top in rows {
        for left in columns.clone() {
            blocks += 1;
            for y in top..top + BLOCK {
                for x in left..left + BLOCK {
                    let here = at(x, y);
                    across[x % BLOCK] += (at(x + 1, y) - here).abs();
                    down[y % BLOCK] += (at(x, y + 1) - here).abs();
                }
            }
        }
    }
    let steps = |sums: [f32; BLOCK]| sums.map(|sum| f64::from(sum) / (blocks * BLOCK) as f64);
    Some((excess(steps(across)) + excess(steps(down))) / 2.0)
}

/// How far the largest mean step exceeds the second largest, relative to the mean of all plus one.
fn excess(mut steps: [f64; BLOCK]) -> f64 {
    steps.sort_by(|a, b| b.total_cmp(a));
    (steps[0] - steps[1]) / (steps.iter().sum::<f64>() / BLOCK as f64 + 1.0)
}

/// Ours.
fn value_of_blocking(excess: f64) -> f64 {
    100.0 * (1.0 - sigmoid(excess, 0.5, 0.12))
}

/// The whole stored pixels of a box of the upright picture; `None` when it lies outside the picture.
fn stored_area(c: &Capture<'_>, [left, top]: [f64; 2], [width, height]: [f64; 2]) -> Option<Area> {
    let upright: Orientation = c.found.upright;
    let size = upright.size((c.picture.pixels.width(), c.picture.pixels.height()));
    // Casts take negative numbers and NaN to zero.
    let inside = |begin: f64, length: f64, limit: usize| {
        let (from, to) = (begin.round() as usize, ((begin + length).round() as usize).min(limit));
        to.checked_sub(from).filter(|length| *length > 0).map(|length| (from, length))
    };
    let (left, width) = inside(left, width, size.0)?;
    let (top, height) = inside(top, height, size.1)?;
    Some(upright.inverse().area(Area { left, top, width, height }, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::confirmation::Evidence;
    use crate::detection::{Detection, Face};
    use crate::landmarks::POINTS;
    use crate::report::Extent;

    const SIZE: [usize; 2] = [400, 300];
    const FACE: Extent = Extent { left: 110.0, top: 50.0, width: 180.0, height: 210.0 };

    /// Eyes 100 pixels apart at a height of 100, the chin 150 below them, in a picture of 400 x 300.
    fn landmarks() -> Landmarks {
        let mut points = vec![[200.0, 150.0, 0.0]; POINTS];
        for (step, &i) in FACE_REGION.iter().enumerate() {
            let angle = step as f32 / FACE_REGION.len() as f32 * std::f32::consts::TAU;
            points[i] = [200.0 + 85.0 * angle.cos(), 165.0 + 85.0 * angle.sin(), 0.0];
        }
        let placed = [
            (EYE_CORNERS[0][0], 140.0, 100.0),
            (EYE_CORNERS[0][1], 160.0, 100.0),
            (EYE_CORNERS[1][0], 240.0, 100.0),
            (EYE_CORNERS[1][1], 260.0, 100.0),
            (CHIN, 200.0, 250.0),
            (LIPS[0], 200.0, 196.0),
            (LIPS[1], 200.0, 204.0),
            (MOUTH_CORNERS[0], 160.0, 200.0),
            (MOUTH_CORNERS[1], 240.0, 200.0),
        ];
        for (i, x, y) in placed {
            points[i] = [x, y, 0.0];
        }
        Landmarks { points, presence: 1.0 }
    }

    fn face(extent: Extent) -> Face {
        let evidence =
            Evidence { score: 0.9, closer: None, presence: 1.0, covered: None, disagreement: 0.0, flat: 0.0 };
        Face { detection: Detection { score: 0.9, extent, keypoints: [[0.0; 2]; 5] }, evidence }
    }

    fn drawn(colour: impl Fn(usize, usize) -> u8) -> Pixels {
        let [width, height] = SIZE;
        let data = (0..width * height).flat_map(|i| [colour(i % width, i / width); 3]).collect();
        Pixels::new(width, height, data).expect("sizes fit")
    }

    /// Looks at an upright picture that is stored in one of the eight orientations.
    fn with<T>(
        seen: &Pixels,
        exif: u8,
        landmarks: &Landmarks,
        pose: Option<Pose>,
        look: impl Fn(&Capture<'_>) -> T,
    ) -> T {
        let upright = Orientation::from_exif(exif);
        let pixels = upright.inverse().apply(seen.clone());
        let view = FaceView::cut(&pixels, upright, FACE);
        let picture = Picture { pixels, orientation: upright, exif_orientation: exif, format: "png" };
        let second = Extent { left: 0.0, top: 0.0, width: 90.0, height: 105.0 };
        let faces = vec![face(FACE), face(second)];
        let found = Found { upright, rotation: 0, faces, main: None, mesh_time: Duration::ZERO };
        look(&Capture::new(&picture, &found, &view, landmarks, pose))
    }

    fn all(c: &Capture<'_>) -> BTreeMap<&'static str, QualityComponent> {
        measure(c.picture, c.found, c.view, c.landmarks, c.pose)
    }

    fn near(a: Option<f64>, b: f64) {
        assert!(a.is_some_and(|a| (a - b).abs() < 1e-4), "{a:?} for {b}");
    }

    /// Native values and what they are worth, from OFIQ's conformance table (data/tests/expected_results).
    #[test]
    fn values_are_those_of_the_reference_implementation() {
        let table = [
            ("inter_eye_distance", 352.585_483, 100),
            ("head_size", 0.224_977, 2),
            ("head_size", 0.257_293, 4),
            ("head_size", 0.134_832, 0),
            ("leftward_crop", 2.561_339, 100),
            ("rightward_crop", 3.132_588, 100),
            ("margin_above", 1.545_541, 81),
            ("margin_above", 1.742_159, 97),
            ("margin_below", 1.726_251, 32),
            ("margin_below", 1.749_557, 38),
            ("margin_below", 2.021_810, 90),
            ("luminance_mean", 0.103_973, 13),
            ("luminance_mean", 0.190_446, 45),
            ("luminance_mean", 0.296_339, 87),
            ("luminance_mean", 0.498_524, 100),
            ("luminance_variance", 0.007_321, 82),
            ("luminance_variance", 0.014_962, 100),
            ("luminance_variance", 0.039_975, 80),
            ("luminance_variance", 0.059_640, 63),
            ("under_exposure_prevention", 0.049_128, 100),
            ("under_exposure_prevention", 0.351_960, 100),
            ("over_exposure_prevention", 0.0, 100),
            ("over_exposure_prevention", 0.000_043, 100),
            ("dynamic_range", 5.560_847, 70),
            ("dynamic_range", 6.912_061, 86),
            ("dynamic_range", 7.607_157, 95),
            ("illumination_uniformity", 0.009_796, 25),
            ("illumination_uniformity", 0.148_789, 56),
            ("illumination_uniformity", 0.843_893, 95),
            ("single_face_present", 0.720_493, 28),
            ("single_face_present", 0.743_829, 26),
            ("head_pose_yaw", 7.966_364, 98),
            ("head_pose_pitch", -13.847_975, 94),
            ("head_pose_roll", -16.291_553, 92),
            ("head_pose_roll", 27.373_343, 79),
        ];
        for (name, raw, value) in table {
            let component = COMPONENTS.iter().find(|c| c.name == name).expect(name);
            assert_eq!(rate(raw, component.value).map(|c| c.value), Some(value), "{name} of {raw}");
        }
    }

    /// Beyond that table, worked out by hand from the formulas.
    #[test]
    fn values_stay_within_0_and_100() {
        let value = |name: &str, raw: f64| {
            let component = COMPONENTS.iter().find(|c| c.name == name).expect(name);
            rate(raw, component.value).map(|c| c.value)
        };
        assert_eq!(value("inter_eye_distance", 70.0), Some(50));
        assert_eq!(value("head_size", 0.45), Some(100));
        assert_eq!(value("under_exposure_prevention", 0.92), Some(40)); // 120 * (0.832 - 0.5) = 39.84
        assert_eq!(value("under_exposure_prevention", 1.0), Some(0)); // 120 * (0.832 - 0.83202)
        assert_eq!(value("over_exposure_prevention", 0.09), Some(10));
        assert_eq!(value("luminance_mean", 0.8), Some(50));
        assert_eq!(value("head_pose_yaw", 45.0), Some(50));
        assert_eq!(value("head_pose_roll", 180.0), Some(0));
        assert_eq!(value("sharpness", MAX_BLUR), Some(0));
        for component in &COMPONENTS {
            for raw in [0.0, 1e-30, -1e30, 1e30] {
                let value = rate(raw, component.value).map(|c| c.value);
                assert!(value.is_none_or(|v| v <= 100), "{} of {raw}: {value:?}", component.name);
            }
            assert!(rate(f64::NAN, component.value).is_none(), "{}", component.name);
            assert!(rate(f64::INFINITY, component.value).is_none(), "{}", component.name);
        }
    }

    #[test]
    fn sizes_and_places_follow_from_the_landmarks() {
        let pose = Pose { yaw: 60.0, pitch: -20.0, roll: 5.0 };
        with(&drawn(|_, _| 0), 1, &landmarks(), Some(pose), |c| {
            near(inter_eye_distance(c), 200.0); // 100 / cos 60
            near(head_size(c), 0.5);
            near(leftward_crop(c), 2.5);
            near(rightward_crop(c), 2.5);
            near(margin_above(c), 100.0 / 150.0);
            near(margin_below(c), 200.0 / 150.0);
            near(second_face(c), 0.5);
            assert_eq!(all(c)["head_pose_pitch"].raw, -20.0);
        });
        with(&drawn(|_, _| 0), 1, &landmarks(), None, |c| {
            near(inter_eye_distance(c), 100.0);
            assert!(!all(c).contains_key("head_pose_yaw"));
        });
    }

    #[test]
    fn luminance_is_linear_light() {
        let of = |pixel: [u8; 3]| luminance(&LINEAR, pixel);
        assert_eq!([of([0; 3]), of([255; 3])], [0, 255]);
        assert_eq!(of([128; 3]), 55); // ((128 / 255 + 0.055) / 1.055) ^ 2.4 = 0.21586
        assert_eq!([of([255, 0, 0]), of([0, 255, 0]), of([0, 0, 255])], [54, 182, 18]);
    }

    #[test]
    fn a_histogram_tells_mean_variance_share_entropy_and_intersection() {
        let histogram = |steps: &[usize]| {
            let mut counts = [0; 256];
            for &step in steps {
                counts[step] += 1;
            }
            Histogram::new(&counts)
        };
        let halves = histogram(&[0, 255]).expect("two");
        near(Some(halves.mean()), 0.5);
        near(Some(halves.variance()), 0.25);
        near(Some(halves.entropy()), 1.0);
        near(Some(halves.share(DARK)), 0.5);
        near(Some(halves.share(BRIGHT)), 0.5);
        let quarters = histogram(&[0, 25, 26, 246]).expect("four");
        near(Some(quarters.entropy()), 2.0);
        near(Some(quarters.share(DARK)), 0.5);
        near(Some(quarters.share(BRIGHT)), 0.0);
        near(Some(quarters.intersection(&halves)), 0.25);
        let one = histogram(&[7, 7]).expect("two");
        assert!(one.entropy().is_sign_positive() && one.entropy() == 0.0);
        assert!(histogram(&[]).is_none());
    }

    #[test]
    fn a_region_holds_the_pixels_whose_centres_lie_in_it() {
        let inside = |x: usize, y: usize| (20..60).contains(&x) && (30..80).contains(&y);
        let pixels = drawn(|x, y| if inside(x, y) { 255 } else { 0 });
        let square = |margin: f32| {
            let (l, t, r, b) = (20.0 - margin, 30.0 - margin, 60.0 + margin, 80.0 + margin);
            // With a point inside, which the hull must leave out.
            let hull = convex_hull([[r, t], [l, b], [40.0, 40.0], [l, t], [r, b]]);
            assert_eq!(hull.len(), 4);
            Histogram::of_region(&pixels, &hull)
        };
        near(square(0.0).map(|h| h.mean()), 1.0);
        near(square(0.4).map(|h| h.mean()), 1.0);
        near(square(1.0).map(|h| h.mean()), 2000.0 / (42.0 * 52.0));
        assert!(Histogram::of_region(&pixels, &convex_hull([[-9.0, -9.0], [-5.0, -9.0], [-5.0, -2.0]])).is_none());
        assert!(Histogram::of_region(&pixels, &convex_hull([[5.0, 5.0]; 3])).is_none());
    }

    #[test]
    fn light_is_uniform_when_both_cheeks_have_the_same() {
        with(&drawn(|_, _| 180), 1, &landmarks(), None, |c| near(illumination_uniformity(c), 1.0));
        let half = drawn(|x, _| if x < 200 { 30 } else { 220 });
        with(&half, 1, &landmarks(), None, |c| near(illumination_uniformity(c), 0.0));
    }

    #[test]
    fn the_blur_of_a_step_is_told_whatever_its_contrast() {
        let found = [15.0, 150.0].map(|contrast| {
            let data = (0..80 * 80).map(|i| if i % 80 < 40 { 20.0 } else { 20.0 + contrast }).collect();
            let step = Plane { width: 80, height: 80, data };
            [1.5, 2.0, 3.0, 4.0].map(|blur| {
                let blurred = step.blurred(&Kernel::gaussian(blur));
                let found = blur_before(edge_energy(&blurred, 2.0), 2.0).expect("a step");
                assert!((0.8..1.6).contains(&(found / blur)), "{found} for {blur}");
                found
            })
        });
        assert!(found[0].is_sorted_by(|a, b| a < b), "{found:?}");
        assert!(found[0].iter().zip(&found[1]).all(|(a, b)| (a / b - 1.0).abs() < 0.01), "{found:?}");
        assert_eq!(blur_before([0.0, 0.0], 1.0), None);
        assert_eq!(blur_before([1.0, 1.0], 1.0), Some(f64::INFINITY));
    }

    #[test]
    fn blocks_are_seen_wherever_their_grid_begins_and_even_steps_are_none() {
        for shift in [0, 3, 7] {
            let blocks = drawn(|x, y| if ((x + shift) / 8 + (y + shift) / 8) % 2 == 0 { 40 } else { 120 });
            // One step of 80 in eight: 80 / (80 / 8 + 1).
            with(&blocks, 1, &landmarks(), None, |c| near(blocking(c), 80.0 / 11.0));
        }
        with(&drawn(|x, y| (x / 2 + y / 4) as u8), 1, &landmarks(), None, |c| near(blocking(c), 0.0));
    }

    /// Speckled, so that nothing is the same on both sides.
    fn scene() -> Pixels {
        drawn(|x, y| ((x * x / 7 + y * y / 5 + x * y / 11) % 200 + x / 10) as u8)
    }

    #[test]
    fn a_picture_is_worth_the_same_however_it_is_stored() {
        let pose = Some(Pose { yaw: 10.0, pitch: 5.0, roll: 3.0 });
        let upright = with(&scene(), 1, &landmarks(), pose, all);
        assert_eq!(upright.len(), COMPONENTS.len());
        for exif in 2..=8 {
            let turned = with(&scene(), exif, &landmarks(), pose, all);
            assert_eq!(turned.len(), upright.len());
            for (name, component) in &upright {
                let difference = (turned[name].raw - component.raw).abs();
                // Steps are taken towards the next stored pixels, which lie on other sides.
                let allowed = if matches!(*name, "sharpness" | "compression_artifacts") { 0.02 } else { 1e-3 };
                assert!(difference <= allowed, "{name} in orientation {exif}: {difference}");
            }
        }
    }

    #[test]
    fn landmarks_without_sense_give_fewer_components_and_no_panic() {
        let everywhere = |p: [f32; 3]| Landmarks { points: vec![p; POINTS], presence: 1.0 };
        let stretched = |factor: f32, shift: f32| {
            let points = landmarks().points.iter().map(|p| p.map(|v| v * factor + shift)).collect();
            Landmarks { points, presence: 1.0 }
        };
        let cases = [
            everywhere([200.0, 150.0, 0.0]),
            everywhere([0.0; 3]),
            everywhere([-1e30; 3]),
            everywhere([f32::MAX; 3]),
            everywhere([f32::NAN; 3]),
            everywhere([f32::INFINITY; 3]),
            stretched(1.0, -1000.0),
            stretched(1.0, 1000.0),
            stretched(1e-6, 200.0),
            stretched(0.05, 100.0),
            stretched(20.0, -2000.0),
            stretched(1e20, 0.0),
            stretched(-1.0, 200.0),
            Landmarks { points: Vec::new(), presence: 0.0 },
        ];
        let wild = Some(Pose { yaw: f32::NAN, pitch: 90.0, roll: f32::INFINITY });
        for (case, landmarks) in cases.iter().enumerate() {
            for exif in 1..=8 {
                let quality = with(&scene(), exif, landmarks, wild, all);
                assert!(quality.values().all(|c| c.raw.is_finite() && c.value <= 100), "case {case}: {quality:?}");
                let text = serde_json::to_string(&quality).expect("serializes");
                assert!(!text.contains("null"), "case {case}: {text}");
            }
        }
    }
}
