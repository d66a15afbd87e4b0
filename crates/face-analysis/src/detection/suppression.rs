//! Non-maximum suppression, and how boxes lie to each other.

use super::Detection;
use crate::report::Extent;

/// Two boxes that overlap by more than this (intersection over union) are the same face; OpenCV's sample uses the
/// same value.
pub(super) const SAME_FACE: f32 = 0.3;

/// Of boxes that overlap the one with the best score stays; the surest first.
pub(super) fn suppressed(mut candidates: Vec<Detection>) -> Vec<Detection> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|k| overlap(&k.extent, &candidate.extent) <= SAME_FACE) {
            kept.push(candidate);
        }
    }
    kept
}

/// Neither the same face nor a part of it.
pub(super) fn is_apart(face: &Extent, other: &Extent) -> bool {
    overlap(face, other) <= SAME_FACE && !contains(face, center(other))
}

pub(super) fn area(extent: &Extent) -> f32 {
    extent.width * extent.height
}

pub(super) fn center(extent: &Extent) -> [f32; 2] {
    [extent.left + extent.width / 2.0, extent.top + extent.height / 2.0]
}

fn contains(extent: &Extent, [x, y]: [f32; 2]) -> bool {
    (extent.left..extent.left + extent.width).contains(&x) && (extent.top..extent.top + extent.height).contains(&y)
}

/// Intersection over union, 0 to 1.
pub(super) fn overlap(a: &Extent, b: &Extent) -> f32 {
    let width = (a.left + a.width).min(b.left + b.width) - a.left.max(b.left);
    let height = (a.top + a.height).min(b.top + b.height) - a.top.max(b.top);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let both = width * height;
    both / (area(a) + area(b) - both)
}
