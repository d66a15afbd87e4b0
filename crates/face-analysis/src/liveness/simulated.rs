//! A linear head on MiniFASNetV2's features, fitted on drawn attacks alone, and how it joins the networks' own answer.
//!
//! What it is worth, and what it was fitted on: training/liveness/simulator/MODEL_CARD.md.

/// The weights and, last, what is added: 32-bit floats, little endian. Written by training/liveness/simulator/head.py.
const NUMBERS: &[u8; 4 * (FEATURES + 1)] = include_bytes!("simulated.bin");

/// MiniFASNetV2's features before its last layer.
const FEATURES: usize = 512;

/// What a unit of the head counts in log-odds of the network; its unit is its own spread over drawn pictures.
const WEIGHT: f32 = 3.0;

/// Beyond these log-odds the network says nothing more: surer than that it is of worn prints as well, and would hide what the
/// head sees.
const SUREST: f32 = 4.0;

/// Surroundings (picture size over face size) between which the head joins. It was fitted on faces from 1.25 on, and raises
/// the errors on tighter ones.
const JOINS: (f32, f32) = (1.2, 1.7);

/// Log-odds of a live face by the network and the head together.
///
/// `answer` is MiniFASNetV2's log-odds and `features` begin with what it sees, both the mean over its crops;
/// `surrounding` is the smaller of picture width over face width and picture height over face height.
pub(super) fn fused(answer: f32, features: &[f32], surrounding: f32) -> f32 {
    let share = ((surrounding - JOINS.0) / (JOINS.1 - JOINS.0)).clamp(0.0, 1.0);
    let together = answer.clamp(-SUREST, SUREST) + WEIGHT * head(features);
    (1.0 - share) * answer + share * together
}

/// The head's own answer, in units of its spread over drawn pictures; higher is more alive.
fn head(features: &[f32]) -> f32 {
    let mut numbers = NUMBERS.chunks_exact(4).map(|b| b.iter().rev().fold(0_u32, |n, &byte| n << 8 | u32::from(byte)));
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

    /// Features that are all one: the head's answer is the sum of all its numbers, which head.py's file gives in NumPy.
    #[test]
    fn the_head_reads_all_its_numbers() {
        assert!((head(&[1.0; FEATURES]) + 0.318_28).abs() < 1e-4, "{}", head(&[1.0; FEATURES]));
        assert_eq!(head(&[1.0; 2 * FEATURES]), head(&[1.0; FEATURES]), "the other network's features follow");
    }

    #[test]
    fn the_head_joins_between_its_surroundings_without_a_step() {
        let features = [0.5; FEATURES];
        let together = 3.0 + WEIGHT * head(&features);
        for (surrounding, expected) in
            [(0.9, 3.0), (1.2, 3.0), (1.45, (3.0 + together) / 2.0), (1.7, together), (9.0, together)]
        {
            assert!((fused(3.0, &features, surrounding) - expected).abs() < 1e-4, "{surrounding}");
        }
    }

    #[test]
    fn a_network_surer_than_it_is_right_does_not_hide_the_head() {
        let features = [0.0; FEATURES];
        assert_eq!(fused(12.0, &features, 3.0), fused(SUREST, &features, 3.0));
        assert_eq!(fused(-12.0, &features, 3.0), fused(-SUREST, &features, 3.0));
        assert_eq!(fused(12.0, &features, 1.0), 12.0);
    }
}
