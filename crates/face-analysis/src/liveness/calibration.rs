//! From the networks' log-odds to a score whose 0.5 is the operating point, and how far that is to be relied on.

mod table;

use table::{LEVELS, RELIABILITY, TEMPER};

/// Log-odds of a live face, 0 at the operating point: where about one live picture in 25 of a camera that nobody calibrated
/// for is refused. `evidence` is what the networks and the built-in heads say together.
///
/// The less surrounding there is, the lower the networks' answers to live faces are; the level follows them. Tempered, since the
/// networks are surer of themselves than they are right: log-odds of 5 mean no error in 150.
pub(super) fn general(evidence: f32, surrounding: f32) -> f32 {
    TEMPER * (evidence - at(&LEVELS, surrounding))
}

/// 0 (the score says nothing) to 1 (as sure as with all the surroundings that the networks were trained with): what is left of
/// the networks' power to tell attacks from live faces, both cut to this surrounding.
pub(crate) fn reliability(surrounding: f32) -> f32 {
    at(&RELIABILITY, surrounding)
}

/// A curve of straight lines between points (x rising, y), level beyond its ends.
fn at(curve: &[(f32, f32)], x: f32) -> f32 {
    let after = curve.partition_point(|&(at, _)| at <= x);
    match (after.checked_sub(1).and_then(|before| curve.get(before)), curve.get(after)) {
        (Some(&(x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (Some(&(_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_followed_between_its_points_and_level_beyond() {
        let curve = [(1.0, 0.0), (2.0, 4.0), (4.0, 5.0)];
        for (x, y) in [(0.0, 0.0), (1.0, 0.0), (1.5, 2.0), (2.0, 4.0), (3.0, 4.5), (9.0, 5.0)] {
            assert_eq!(at(&curve, x), y, "{x}");
        }
        assert_eq!(at(&curve, f32::NAN), 0.0);
    }

    #[test]
    fn the_tables_rise_with_the_surrounding_and_reliability_is_a_share() {
        for curve in [&LEVELS[..], &RELIABILITY[..]] {
            assert!(curve.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "{curve:?}");
        }
        assert!(RELIABILITY.iter().all(|&(_, y)| (0.0..=1.0).contains(&y)));
        const { assert!(TEMPER > 0.0 && TEMPER <= 1.0) };
    }

    #[test]
    fn the_level_is_one_half_and_a_higher_answer_a_higher_score() {
        let level = at(&LEVELS, 2.0);
        assert_eq!(general(level, 2.0), 0.0);
        assert!(general(level + 1.0, 2.0) > 0.0 && general(level - 1.0, 2.0) < 0.0);
    }
}
