//! A network of our own, trained on drawn attacks: what it answers.
//!
//! Its data, training and worth: training/liveness/network/MODEL_CARD.md.

use super::soft_maximum;
use super::surroundings::Surroundings;
use crate::inference::{InferenceError, Network};
use crate::report::{Extent, LivenessModelScore};

/// Its name in answers.
const NAME: &str = "facegate liveness";

/// Side of its square input in pixels: a face is 41 pixels wide there, where the other networks get 30 and 64.
const SIDE: usize = 112;

/// Its log-odds are not taken to be surer than this.
const SUREST: f32 = 6.0;

/// The network and its input.
#[derive(Debug)]
pub(super) struct Own {
    network: Network,
    input: Vec<f32>,
}

/// Its answer for one crop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// Logits of live, worn or held mask, print, replay.
    logits: [f32; 4],
    /// Log-odds of live against all attacks.
    pub(super) log_odds: f32,
}

impl Own {
    pub(super) fn new(network: Network) -> Self {
        Self { network, input: Vec::new() }
    }

    /// Judges one crop.
    pub(super) fn judge(&mut self, surroundings: &Surroundings, area: Extent) -> Result<Answer, InferenceError> {
        self.input.clear();
        surroundings.sample(area, SIDE, &mut self.input);
        let outputs = self.network.run([1, 3, SIDE, SIDE], &self.input)?;
        let seen = outputs.get("logits")?;
        let logits: [f32; 4] = std::array::from_fn(|i| seen.get(i).copied().unwrap_or(0.0));
        let [live, mask, print, replay] = logits;
        let log_odds = live - soft_maximum(mask, soft_maximum(print, replay));
        Ok(Answer { logits, log_odds: if log_odds.is_finite() { log_odds.clamp(-SUREST, SUREST) } else { -SUREST } })
    }
}

impl Answer {
    /// As it is reported for a crop of this scale: prints and replays are flat, masks have a shape.
    pub(super) fn score(&self, crop_scale: f32, actual_scale: f32) -> LivenessModelScore {
        let most = self.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let [live, mask, print, replay] = self.logits.map(|logit| (logit - most).exp());
        let sum = live + mask + print + replay;
        LivenessModelScore {
            model: NAME,
            flat_attack: (print + replay) / sum,
            live: live / sum,
            shaped_attack: mask / sum,
            crop_scale,
            actual_scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_an_answer_are_those_of_its_logits() {
        // Softmax of 2, 1, 0, -1 by hand: 7.3891, 2.7183, 1, 0.3679 of 11.4752.
        let answer = Answer { logits: [2.0, 1.0, 0.0, -1.0], log_odds: 0.0 };
        let score = answer.score(2.7, 2.7);
        for (value, expected) in [(score.live, 0.6439), (score.shaped_attack, 0.2369), (score.flat_attack, 0.1192)] {
            assert!((value - expected).abs() < 1e-4, "{value} {expected}");
        }
    }
}
