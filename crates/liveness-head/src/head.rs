//! What a head knows, and how it judges.

use serde::{Deserialize, Serialize};

/// The most features that a head may have: four times what both networks give.
const MAX_FEATURES: usize = 4_096;

/// The most names of kinds of attack that a head has figures of.
pub const MAX_KINDS: usize = 64;

/// The longest of its texts in characters.
const MAX_NAME: usize = 200;

/// A head with everything that is needed to judge by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// When it was fitted (RFC 3339).
    pub created: String,
    /// The program that fitted it, with its version.
    pub program: String,
    /// The networks whose features it judges, in the order in which the features stand.
    pub networks: Vec<NetworkId>,
    /// How crops are cut, features averaged and the general score made; raised when that changes.
    pub features_revision: u32,
    /// Crops of each network that features and answers are the mean of.
    pub crops: u32,
    /// One weight for each feature.
    pub weights: Vec<f32>,
    /// What is added.
    pub bias: f32,
    /// How much what the program makes of a picture without a head counts.
    pub general: GeneralShare,
    /// How much the networks' own answer counts.
    pub pair: PairShare,
    /// Log-odds per unit of the fused value.
    pub slope: f32,
    /// The fused value at the operating point, which becomes a score of 0.5.
    pub operating_point: f32,
    /// From which surrounding on it counts.
    pub trust: Trust,
    /// What was measured when it was fitted.
    pub figures: Figures,
}

/// A network by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkId {
    /// Its published name.
    pub name: String,
    /// SHA-256 of the file in the model folder, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// How the log-odds that the program has without a head enter: the head was fitted as what these lack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralShare {
    /// Units of the fused value per unit of log-odds.
    pub weight: f32,
    /// Log-odds beyond this, either way, count as this.
    pub limit: f32,
}

/// How the networks' own answer enters: what it lacks to `from`, times `weight`, is taken off. An attack that the networks
/// see through stays seen through, and a high answer does not hide what the features show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairShare {
    /// Units of the fused value per unit of log-odds.
    pub weight: f32,
    /// The pair's log-odds below which it counts: about the lowest of the live pictures that the head was fitted on.
    pub from: f32,
}

/// How far the head is trusted by surrounding (picture size over face size): not at all up to `none`, fully from `full` on,
/// by a straight line between them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Up to here only what the program says without a head counts.
    pub none: f32,
    /// From here on only the head's.
    pub full: f32,
}

impl Trust {
    /// The head's share at a surrounding, 0 to 1.
    pub fn share(self, surrounding: f32) -> f32 {
        if self.full > self.none {
            ((surrounding - self.none) / (self.full - self.none)).clamp(0.0, 1.0)
        } else {
            f32::from(u8::from(surrounding >= self.full))
        }
    }
}

/// What was measured out of fold when the head was fitted. Rates are 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Pictures that it was fitted on, and groups (persons, sessions) that these belong to.
    pub pictures: u64,
    /// Groups.
    pub groups: u64,
    /// Live pictures.
    pub live: u64,
    /// Share of live pictures refused, before and with the head.
    pub bpcer_before: f64,
    /// With the head.
    pub bpcer: f64,
    /// Each kind of attack.
    pub kinds: Vec<KindFigures>,
}

/// One kind of attack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindFigures {
    /// Its name in the labels.
    pub name: String,
    /// Pictures of it.
    pub pictures: u64,
    /// Share taken for live before.
    pub apcer_before: f64,
    /// Share taken for live with the head.
    pub apcer: f64,
}

/// How one picture was judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Log-odds of a live person, 0 at the operating point.
    pub log_odds: f32,
    /// The head's share in them, 0 to 1.
    pub share: f32,
}

/// A head that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHead {
    /// A number or a text that no fit gives.
    #[error("{0}")]
    Content(&'static str),
    /// It was fitted on the features of other networks.
    #[error("it belongs to {wanted}, and the model folder has {found}; fit it again with `facegate adapt`")]
    Networks {
        /// What it names.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// Crops were cut, or the general score made, in another way then.
    #[error(
        "its features are of revision {wanted}, and this program computes revision {found}; fit it again with \
         `facegate adapt`"
    )]
    Revision {
        /// The head's.
        wanted: u32,
        /// This program's.
        found: u32,
    },
    /// Another number of crops was averaged then.
    #[error(
        "it was fitted with analysis.liveness.crops = {wanted}, and {found} is set; set {wanted}, or fit it again with \
         `facegate adapt`"
    )]
    Crops {
        /// The head's.
        wanted: u32,
        /// The configured number.
        found: u32,
    },
}

impl Head {
    /// Judges one picture.
    ///
    /// `features` are as many as [`Head::weights`], `pair` is the log-odds of the networks themselves and `general` what
    /// the program makes of it without a head (0 at its operating point), `surrounding` the smaller of picture width over
    /// face width and picture height over face height.
    pub fn judge(&self, features: &[f32], pair: f32, general: f32, surrounding: f32) -> Decision {
        let share = self.trust.share(surrounding);
        let own = self.slope * (self.fused(features, pair, general) - self.operating_point);
        let log_odds = share * own + (1.0 - share) * general;
        Decision { log_odds: if log_odds.is_finite() { log_odds } else { general }, share }
    }

    /// The value before slope and operating point.
    pub fn fused(&self, features: &[f32], pair: f32, general: f32) -> f32 {
        let linear: f64 = self.weights.iter().zip(features).map(|(&w, &f)| f64::from(w) * f64::from(f)).sum::<f64>()
            + f64::from(self.bias);
        let known = self.general.weight * general.clamp(-self.general.limit, self.general.limit);
        linear as f32 + known + self.pair.weight * (pair - self.pair.from).min(0.0)
    }

    /// Refuses what no fit gives.
    ///
    /// # Errors
    ///
    /// [`InvalidHead::Content`] says what.
    pub fn validate(&self) -> Result<(), InvalidHead> {
        let shares = [self.general.weight, self.general.limit, self.pair.weight];
        let numbers = [self.bias, self.pair.from, self.slope, self.operating_point];
        let trust = [self.trust.none, self.trust.full];
        let wrong = |what| Err(InvalidHead::Content(what));
        if self.weights.is_empty() || self.weights.len() > MAX_FEATURES {
            return wrong("it has no weights, or too many");
        }
        if !self.weights.iter().chain(&numbers).chain(&shares).chain(&trust).all(|v| v.is_finite() && v.abs() <= 1e6) {
            return wrong("one of its numbers is out of range");
        }
        if self.slope <= 0.0 || shares.iter().any(|&share| share < 0.0) || self.trust.none > self.trust.full {
            return wrong("its slope, the share of the networks or its trust is out of range");
        }
        let texts =
            [&self.created, &self.program].into_iter().chain(self.networks.iter().flat_map(|n| [&n.name, &n.sha256]));
        if self.networks.is_empty() || self.networks.len() > 8 || self.figures.kinds.len() > MAX_KINDS {
            return wrong("it names no networks, or too many of something");
        }
        let printable = |text: &String| text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control);
        if !texts.chain(self.figures.kinds.iter().map(|k| &k.name)).all(printable) {
            return wrong("one of its texts is too long or not printable");
        }
        Ok(())
    }

    /// Refuses networks and crops that it was not fitted on.
    ///
    /// # Errors
    ///
    /// [`InvalidHead::Networks`], [`InvalidHead::Revision`] or [`InvalidHead::Crops`].
    pub fn check_fits(&self, networks: &[NetworkId], features_revision: u32, crops: u32) -> Result<(), InvalidHead> {
        if self.networks != networks {
            let list = |networks: &[NetworkId]| {
                let short = |n: &NetworkId| format!("{} {}", n.name, n.sha256.get(..12).unwrap_or(&n.sha256));
                networks.iter().map(short).collect::<Vec<_>>().join(" and ")
            };
            return Err(InvalidHead::Networks { wanted: list(&self.networks), found: list(networks) });
        }
        if self.features_revision != features_revision {
            return Err(InvalidHead::Revision { wanted: self.features_revision, found: features_revision });
        }
        if self.crops != crops {
            return Err(InvalidHead::Crops { wanted: self.crops, found: crops });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn head() -> Head {
        Head {
            created: "2026-11-25T20:00:00Z".into(),
            program: "facegate 0.1.0".into(),
            networks: vec![NetworkId { name: "A".into(), sha256: "00ff".into() }],
            features_revision: 1,
            crops: 1,
            weights: vec![1.0, -2.0],
            bias: 0.5,
            general: GeneralShare { weight: 0.25, limit: 4.0 },
            pair: PairShare { weight: 0.5, from: 2.0 },
            slope: 3.0,
            operating_point: 0.25,
            trust: Trust { none: 1.2, full: 1.6 },
            figures: Figures::default(),
        }
    }

    #[test]
    fn a_picture_with_room_is_judged_by_features_and_by_what_the_pair_lacks() {
        // 1 * 3 - 2 * 1 + 0.5 = 1.5; the pair lacks 4 of 2: 1.5 - 0.5 * 4 = -0.5; 0.25 * 2 of the program's own log-odds make it
        // 0; 3 * (0 - 0.25) = -0.75.
        assert_eq!(head().judge(&[3.0, 1.0], -2.0, 2.0, 2.0), Decision { log_odds: -0.75, share: 1.0 });
        // A pair above `from` adds nothing, log-odds of 9 count as 4: 3 * (1.5 + 0.25 * 4 - 0.25).
        assert_eq!(head().judge(&[3.0, 1.0], 50.0, 9.0, 1.6).log_odds, 6.75);
        assert_eq!(head().judge(&[3.0, 1.0], 50.0, -9.0, 1.6).log_odds, 0.75);
    }

    #[test]
    fn a_tight_picture_falls_back_to_the_score_without_a_head_without_a_step() {
        let at = |surrounding| head().judge(&[3.0, 1.0], 50.0, -1.0, surrounding).log_odds;
        // With room: 3 * (1.5 - 0.25 * 1 - 0.25).
        assert_eq!(at(1.2), -1.0);
        assert!((at(1.4) - (3.0 - 1.0) / 2.0).abs() < 1e-5);
        let mut before = at(1.0);
        for step in 1..=100 {
            let now = at(1.0 + step as f32 * 0.01);
            assert!((now - before).abs() < 0.13, "a step at {step}");
            before = now;
        }
    }

    #[test]
    fn numbers_that_no_fit_gives_are_refused() {
        assert_eq!(head().validate(), Ok(()));
        for spoil in [
            (|h| h.weights[0] = f32::NAN) as fn(&mut Head),
            |h| h.weights.clear(),
            |h| h.slope = 0.0,
            |h| h.general.limit = -1.0,
            |h| h.trust.none = 2.0,
            |h| h.networks.clear(),
            |h| h.program = "a\nb".into(),
        ] {
            let mut spoilt = head();
            spoil(&mut spoilt);
            assert!(matches!(spoilt.validate(), Err(InvalidHead::Content(_))), "{spoilt:?}");
        }
    }

    #[test]
    fn other_networks_and_other_crops_are_refused() {
        let head = head();
        assert_eq!(head.check_fits(&head.networks.clone(), 1, 1), Ok(()));
        let other = [NetworkId { name: "A".into(), sha256: "0100".into() }];
        assert!(matches!(head.check_fits(&other, 1, 1), Err(InvalidHead::Networks { .. })));
        assert!(matches!(head.check_fits(&head.networks.clone(), 2, 1), Err(InvalidHead::Revision { .. })));
        let crops = head.check_fits(&head.networks.clone(), 1, 3).expect_err("other crops");
        assert_eq!(crops, InvalidHead::Crops { wanted: 1, found: 3 });
        assert!(crops.to_string().contains("analysis.liveness.crops = 1"), "{crops}");
    }
}
