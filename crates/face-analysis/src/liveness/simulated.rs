//! Linear heads on what the published networks see, fitted on drawn attacks alone, and how they join the networks' own answers.
//!
//! What they are worth, and what they were fitted on: MiniFASNetV2's in training/liveness/simulator/MODEL_CARD.md, fr_liveness's in
//! training/liveness/second_head/MODEL_CARD.md.

/// Features of each network before its last layer.
const FEATURES: usize = 512;

/// The weights and, last, what is added: 32-bit floats, little endian.
type Numbers = [u8; 4 * (FEATURES + 1)];

/// MiniFASNetV2's head. Written by training/liveness/simulator/head.py.
const V2: &Numbers = include_bytes!("simulated.bin");

/// fr_liveness's head. Written by training/liveness/second_head/fit.py.
const FR: &Numbers = include_bytes!("simulated_fr.bin");

/// What a unit of MiniFASNetV2's head counts in log-odds of the network; its unit is its own spread over drawn pictures.
const WEIGHT: f32 = 3.0;

/// Beyond these log-odds MiniFASNetV2 says nothing more: surer than that it is of worn prints as well, and would hide what the
/// head sees.
const SUREST: f32 = 4.0;

/// What a unit of fr_liveness's head counts, and how many count at most.
const SECOND: (f32, f32) = (2.0, 3.0);

/// Surroundings (picture size over face size) between which the heads join. They were fitted on faces from 1.25 on, and the first raises
/// the errors on tighter ones.
const JOINS: (f32, f32) = (1.2, 1.7);

/// Log-odds of a live face by MiniFASNetV2 and its head together.
///
/// `answer` is the network's log-odds and `features` begin with what it sees, both the mean over its crops;
/// `surrounding` is the smaller of picture width over face width and picture height over face height.
pub(super) fn fused(answer: f32, features: &[f32], surrounding: f32) -> f32 {
    let share = share(surrounding);
    let together = answer.clamp(-SUREST, SUREST) + WEIGHT * head(V2, features);
    (1.0 - share) * answer + share * together
}

/// What fr_liveness's head adds to the evidence, beyond what that network may. What this network sees follows in `features` on what MiniFASNetV2 does.
pub(super) fn added(features: &[f32], surrounding: f32) -> f32 {
    let own = features.get(FEATURES..).unwrap_or_default();
    share(surrounding) * SECOND.0 * head(FR, own).clamp(-SECOND.1, SECOND.1)
}

fn share(surrounding: f32) -> f32 {
    ((surrounding - JOINS.0) / (JOINS.1 - JOINS.0)).clamp(0.0, 1.0)
}

/// A head's own answer, in units of its spread over drawn pictures; higher is more alive.
fn head(numbers: &Numbers, features: &[f32]) -> f32 {
    let mut numbers = numbers.chunks_exact(4).map(|b| b.iter().rev().fold(0_u32, |n, &byte| n << 8 | u32::from(byte)));
    let sum: f64 = features
        .iter()
        .take(FEATURES)
        .zip(numbers.by_ref().take(FEATURES))
        .map(|(&feature, weight)| f64::from(feature) * f64::from(f32::from_bits(weight)))
        .sum();
    (sum + numbers.next().map_or(0.0, |added| f64::from(f32::from_bits(added)))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features that are all one: a head's answer is the sum of all its numbers, which NumPy gives of head.py's and fit.py's files.
    #[test]
    fn the_heads_read_all_their_numbers() {
        for (numbers, expected) in [(V2, -0.318_28), (FR, -4.249_0)] {
            let found = head(numbers, &[1.0; FEATURES]);
            assert!((found - expected).abs() < 1e-4, "{found}");
            assert_eq!(head(numbers, &[1.0; 2 * FEATURES]), found, "other features follow");
        }
    }

    #[test]
    fn the_heads_join_between_their_surroundings_without_a_step() {
        let features = [0.5; 2 * FEATURES];
        let together = 3.0 + WEIGHT * head(V2, &features);
        let more = SECOND.0 * head(FR, &features).clamp(-SECOND.1, SECOND.1);
        for (surrounding, share) in [(0.9, 0.0), (1.2, 0.0), (1.45, 0.5), (1.7, 1.0), (9.0, 1.0)] {
            let expected = 3.0 + share * (together - 3.0);
            assert!((fused(3.0, &features, surrounding) - expected).abs() < 1e-4, "{surrounding}");
            assert!((added(&features, surrounding) - share * more).abs() < 1e-4, "{surrounding}");
        }
    }

    #[test]
    fn a_network_surer_than_it_is_right_does_not_hide_the_head() {
        let features = [0.0; FEATURES];
        assert_eq!(fused(12.0, &features, 3.0), fused(SUREST, &features, 3.0));
        assert_eq!(fused(-12.0, &features, 3.0), fused(-SUREST, &features, 3.0));
        assert_eq!(fused(12.0, &features, 1.0), 12.0);
    }

    #[test]
    fn the_second_head_reads_its_own_networks_features_and_counts_so_much_at_most() {
        let mut features = [0.0; 2 * FEATURES];
        let none = added(&features, 2.0);
        features[..FEATURES].fill(7.0);
        assert_eq!(added(&features, 2.0), none, "MiniFASNetV2's");
        features[FEATURES..].fill(1e6);
        assert!((added(&features, 2.0).abs() - SECOND.0 * SECOND.1).abs() < 1e-4);
    }
}
