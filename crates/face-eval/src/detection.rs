//! Face detection against labelled boxes.
//!
//! Detections of all pictures are taken by falling score. Each is compared with the labelled face of its picture
//! that it overlaps most: it is right when their intersection over union reaches the limit and no earlier detection
//! has claimed that face, else it is false (the rule of the PASCAL VOC challenge, Everingham et al. 2010). Average
//! precision is the area under the precision-recall curve, in which each precision is replaced by the highest
//! precision at any greater recall ("all-point interpolation"). Detections of equal score are one point of the curve.

use serde::Serialize;

use crate::basis::{Options, Pair};
use crate::labels::LabelledBox;
use crate::outcomes::DetectedFace;
use crate::presentation_attack::thin;
use crate::statistics::{Estimate, Proportion};

/// Most points of a published precision-recall curve.
const MAX_CURVE_POINTS: usize = 500;

/// All figures of face detection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// Intersection over union from which a detection is right, 0 to 1.
    pub iou_threshold: f64,
    /// Pictures whose faces are labelled and on which the detector ran.
    pub pictures: u64,
    /// Pictures whose faces are labelled and for which the service gave no detections. They are in no figure.
    pub pictures_without_detections: u64,
    /// Labelled faces.
    pub faces: u64,
    /// Average precision, 0 to 1. Since the service reports no detection below its own score threshold, the curve
    /// ends there, and the figure is a lower bound of the detector's own.
    pub average_precision: Option<Estimate>,
    /// Share of labelled faces that were found.
    pub recall: Option<Proportion>,
    /// Share of detections that are right.
    pub precision: Option<Proportion>,
    /// Share of pictures with at least one labelled face in which none was found.
    pub pictures_with_no_face_found: Option<Proportion>,
    /// Share of pictures labelled to show no face in which the detector sees one.
    pub faceless_pictures_with_detection: Option<Proportion>,
    /// Precision and recall by falling score, before interpolation; of a long curve, 500 evenly spaced points.
    pub precision_recall_curve: Vec<PrecisionRecall>,
}

/// Precision and recall of all detections at or above a score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// The score.
    pub score: f64,
    /// Share of these detections that are right.
    pub precision: f64,
    /// Share of labelled faces that they find.
    pub recall: f64,
}

/// A detection after matching.
#[derive(Debug, Clone, Copy)]
struct Matched {
    score: f64,
    picture: usize,
    right: bool,
}

impl Detection {
    /// `None` without a picture that has both labelled faces (or the label that it has none) and detections.
    pub(crate) fn compute(pairs: &[Pair<'_>], options: &Options) -> Option<Self> {
        let labelled: Vec<(&[LabelledBox], Option<&[DetectedFace]>)> = pairs
            .iter()
            .filter_map(|pair| Some((pair.label.faces.as_deref()?, pair.outcome.faces.as_deref())))
            .collect();
        let detected: Vec<(&[LabelledBox], &[DetectedFace])> =
            labelled.iter().filter_map(|&(truth, found)| Some((truth, found?))).collect();
        if detected.is_empty() {
            return None;
        }
        let mut matched = Vec::new();
        for (picture, (truth, found)) in detected.iter().enumerate() {
            matched.extend(match_picture(picture, truth, found, options.iou_threshold));
        }
        matched.sort_by(|a, b| b.score.total_cmp(&a.score));
        let faces: Vec<u64> = detected.iter().map(|(truth, _)| truth.len() as u64).collect();
        let all_faces = faces.iter().sum();
        let mut found_in = vec![false; detected.len()];
        for detection in matched.iter().filter(|detection| detection.right) {
            found_in[detection.picture] = true;
        }

        let ones = vec![1; detected.len()];
        let precision_area = average_precision(&matched, &faces, &ones).map(|value| {
            let [ci95] = options
                .bootstrap
                .intervals(&vec![0; detected.len()], |drawn| [average_precision(&matched, &faces, drawn)]);
            Estimate { value, ci95 }
        });
        let right = matched.iter().filter(|detection| detection.right).count() as u64;
        Some(Self {
            iou_threshold: options.iou_threshold,
            pictures: detected.len() as u64,
            pictures_without_detections: (labelled.len() - detected.len()) as u64,
            faces: all_faces,
            average_precision: precision_area,
            recall: Proportion::new(right, all_faces),
            precision: Proportion::new(right, matched.len() as u64),
            pictures_with_no_face_found: Proportion::of(
                detected.iter().zip(&found_in).filter(|((truth, _), _)| !truth.is_empty()),
                |(_, found)| !found,
            ),
            faceless_pictures_with_detection: Proportion::of(
                detected.iter().filter(|(truth, _)| truth.is_empty()),
                |(_, found)| !found.is_empty(),
            ),
            precision_recall_curve: thin(curve(&matched, &faces, &ones), MAX_CURVE_POINTS),
        })
    }
}

/// Area of the intersection over area of the union, 0 to 1. Boxes are continuous: a width of 10 covers 10 pixels.
pub fn intersection_over_union(a: &LabelledBox, b: &LabelledBox) -> f64 {
    let overlap = |a_start: f64, a_length: f64, b_start: f64, b_length: f64| {
        ((a_start + a_length).min(b_start + b_length) - a_start.max(b_start)).max(0.0)
    };
    let intersection = overlap(a.x, a.w, b.x, b.w) * overlap(a.y, a.h, b.y, b.h);
    let union = a.w * a.h + b.w * b.h - intersection;
    if union > 0.0 { (intersection / union).clamp(0.0, 1.0) } else { 0.0 }
}

fn match_picture(picture: usize, truth: &[LabelledBox], found: &[DetectedFace], iou_threshold: f64) -> Vec<Matched> {
    let mut by_score: Vec<&DetectedFace> = found.iter().collect();
    by_score.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut claimed = vec![false; truth.len()];
    let of_face = |face: &DetectedFace| {
        let detection = LabelledBox { x: face.x, y: face.y, w: face.w, h: face.h };
        let best = truth
            .iter()
            .enumerate()
            .map(|(index, truth)| (index, intersection_over_union(truth, &detection)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let right =
            best.is_some_and(|(index, iou)| iou >= iou_threshold && !std::mem::replace(&mut claimed[index], true));
        Matched { score: face.score, picture, right }
    };
    by_score.into_iter().map(of_face).collect()
}

/// The curve of detections by falling score, when each picture counts `drawn` times.
fn curve(matched: &[Matched], faces: &[u64], drawn: &[u32]) -> Vec<PrecisionRecall> {
    let all_faces: u64 = faces.iter().zip(drawn).map(|(faces, &drawn)| faces * u64::from(drawn)).sum();
    if all_faces == 0 {
        return Vec::new();
    }
    let (mut right, mut taken) = (0_u64, 0_u64);
    let mut points = Vec::new();
    for (index, detection) in matched.iter().enumerate() {
        let weight = u64::from(drawn[detection.picture]);
        taken += weight;
        right += if detection.right { weight } else { 0 };
        let ends_tie = matched.get(index + 1).is_none_or(|next| next.score < detection.score);
        if ends_tie && taken > 0 {
            points.push(PrecisionRecall {
                score: detection.score,
                precision: right as f64 / taken as f64,
                recall: right as f64 / all_faces as f64,
            });
        }
    }
    points
}

/// `None` without labelled faces; 0 without detections.
fn average_precision(matched: &[Matched], faces: &[u64], drawn: &[u32]) -> Option<f64> {
    if faces.iter().zip(drawn).all(|(&faces, &drawn)| faces == 0 || drawn == 0) {
        return None;
    }
    let points = curve(matched, faces, drawn);
    let mut area = 0.0;
    let mut highest = 0.0_f64;
    for (index, point) in points.iter().enumerate().rev() {
        highest = highest.max(point.precision);
        let recall_before = index.checked_sub(1).map_or(0.0, |before| points[before].recall);
        area += (point.recall - recall_before) * highest;
    }
    Some(area.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelledPicture;
    use crate::outcomes::Outcome;
    use crate::word::Word;

    /// A square of side 10 at `x`.
    fn labelled(x: f64) -> LabelledBox {
        LabelledBox { x, y: 0.0, w: 10.0, h: 10.0 }
    }

    fn found(x: f64, score: f64) -> DetectedFace {
        DetectedFace { x, y: 0.0, w: 10.0, h: 10.0, score }
    }

    fn figures(pictures: Vec<(Vec<LabelledBox>, Option<Vec<DetectedFace>>)>) -> Option<Detection> {
        let (labels, outcomes): (Vec<_>, Vec<_>) = pictures
            .into_iter()
            .map(|(truth, faces)| {
                (
                    LabelledPicture { faces: Some(truth), ..LabelledPicture::default() },
                    Outcome { faces, ..Outcome::new("p", Word::Ok) },
                )
            })
            .unzip();
        let pairs: Vec<Pair<'_>> =
            labels.iter().zip(&outcomes).map(|(label, outcome)| Pair { label, outcome }).collect();
        Detection::compute(&pairs, &Options::default())
    }

    #[test]
    fn intersection_over_union_of_boxes_that_share_half() {
        // Shifted by half a width: intersection 50, union 150.
        assert!((intersection_over_union(&labelled(0.0), &labelled(5.0)) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(intersection_over_union(&labelled(0.0), &labelled(10.0)), 0.0);
        assert_eq!(intersection_over_union(&labelled(0.0), &labelled(0.0)), 1.0);
    }

    #[test]
    fn average_precision_of_a_curve_with_a_dip() {
        // By falling score: right (0.9), false (0.8), right (0.7), right (0.6), and one of the four faces is never
        // found. Recall 1/4 at precision 1, 1/4 at 1/2, 2/4 at 2/3, 3/4 at 3/4. The highest precision at or beyond
        // recall 2/4 is 3/4: 1/4 * 1 + 1/4 * 3/4 + 1/4 * 3/4 = 5/8.
        let figures = figures(vec![
            (vec![labelled(0.0), labelled(100.0)], Some(vec![found(0.0, 0.9), found(50.0, 0.8)])),
            (vec![labelled(0.0), labelled(100.0)], Some(vec![found(1.0, 0.7), found(99.0, 0.6)])),
        ])
        .expect("labelled");
        assert!((figures.average_precision.expect("faces").value - 5.0 / 8.0).abs() < 1e-12);
        assert_eq!(figures.recall.map(|share| (share.count, share.total)), Some((3, 4)));
        assert_eq!(figures.precision.map(|share| (share.count, share.total)), Some((3, 4)));
    }

    #[test]
    fn a_second_detection_of_one_face_is_false_even_when_another_face_is_free() {
        // Both detections overlap the first face most; the higher score claims it.
        let figures = figures(vec![(vec![labelled(0.0), labelled(6.0)], Some(vec![found(0.0, 0.6), found(1.0, 0.9)]))])
            .expect("labelled");
        assert_eq!(figures.recall.map(|share| share.count), Some(1));
        assert_eq!(figures.precision_recall_curve[0].precision, 1.0);
        assert_eq!(figures.precision_recall_curve[1].precision, 0.5);
    }

    #[test]
    fn an_overlap_of_exactly_the_limit_is_right() {
        // Widths 10 and 5 with the same height: intersection 50, union 100.
        let half = DetectedFace { w: 5.0, ..found(0.0, 0.9) };
        let figures = figures(vec![(vec![labelled(0.0)], Some(vec![half]))]).expect("labelled");
        assert_eq!(figures.recall.map(|share| share.count), Some(1));
    }

    #[test]
    fn detections_of_equal_score_are_one_point() {
        let figures = figures(vec![
            (vec![labelled(0.0)], Some(vec![found(0.0, 0.9)])),
            (Vec::new(), Some(vec![found(0.0, 0.9)])),
        ])
        .expect("labelled");
        assert_eq!(
            figures.precision_recall_curve,
            [PrecisionRecall { score: 0.9, precision: 0.5, recall: 1.0 }],
            "whichever picture comes first"
        );
        assert_eq!(figures.average_precision.map(|figure| figure.value), Some(0.5));
    }

    #[test]
    fn pictures_are_counted_by_whether_a_face_was_found() {
        let figures = figures(vec![
            (vec![labelled(0.0), labelled(100.0)], Some(vec![found(0.0, 0.9)])),
            (vec![labelled(0.0)], Some(vec![found(60.0, 0.9)])),
            (Vec::new(), Some(vec![found(0.0, 0.6)])),
            (Vec::new(), Some(Vec::new())),
            (vec![labelled(0.0)], None),
        ])
        .expect("labelled");
        assert_eq!((figures.pictures, figures.pictures_without_detections, figures.faces), (4, 1, 3));
        let share = figures.pictures_with_no_face_found.expect("pictures with faces");
        assert_eq!((share.count, share.total), (1, 2));
        let share = figures.faceless_pictures_with_detection.expect("pictures without faces");
        assert_eq!((share.count, share.total), (1, 2));
    }

    #[test]
    fn average_precision_without_a_labelled_face_is_absent() {
        let figures = figures(vec![(Vec::new(), Some(Vec::new()))]).expect("labelled");
        assert_eq!((figures.average_precision, figures.recall, figures.precision), (None, None, None));
    }

    #[test]
    fn average_precision_without_a_detection_is_zero() {
        let figures = figures(vec![(vec![labelled(0.0)], Some(Vec::new()))]).expect("labelled");
        assert_eq!(figures.average_precision.map(|figure| figure.value), Some(0.0));
    }
}
