//! Convex polygons over pixels.

/// The smallest convex polygon round the points that are numbers (Andrew's monotone chain).
pub(super) fn convex_hull<const N: usize>(points: [[f32; 2]; N]) -> Vec<[f32; 2]> {
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
pub(super) fn span(hull: &[[f32; 2]], y: f32) -> (f32, f32) {
    let next = hull.iter().cycle().skip(1);
    hull.iter().zip(next).fold((f32::INFINITY, f32::NEG_INFINITY), |(left, right), (a, b)| {
        if (a[1] <= y) == (b[1] <= y) {
            return (left, right);
        }
        let x = a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
        (left.min(x), right.max(x))
    })
}
