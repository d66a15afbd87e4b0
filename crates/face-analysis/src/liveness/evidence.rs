//! How what the networks say becomes one number: their evidence of a live face, in log-odds.

use super::simulated;

/// The log-odds of a live face by each network, the mean over its crops.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Said {
    /// By MiniFASNetV2.
    pub(super) v2: f32,
    /// By fr_liveness.
    pub(super) fr: f32,
    /// By the network of our own.
    pub(super) own: f32,
}

/// MiniFASNetV2 with its built-in head is not taken to be surer than this: surer than that it is of printed masks as well.
const V2: (f32, f32) = (-6.0, 10.0);

/// Nor is fr_liveness: of scanned prints it is surer than of live people. Its weight and this limit were chosen among 0.5, 1 and 1.5
/// and 3 to 10, which lie close together, by the share of live pictures of a left-out source that are refused, and with attacks-dev
/// in view.
const FR: f32 = 8.0;

/// What the own network's log-odds count. Chosen among 1, 1.5 and 2 in the same way.
const OWN: f32 = 2.0;

/// The evidence of all networks and of the heads on drawn attacks; that on fr_liveness's features counts beyond that network's limit.
/// `features` begin with MiniFASNetV2's and fr_liveness's, `surrounding` is the smaller of picture width over face
/// width and picture height over face height.
pub(super) fn of(said: Said, features: &[f32], surrounding: f32) -> f32 {
    joined(said, simulated::fused(said.v2, features, surrounding)) + simulated::added(features, surrounding)
}

fn joined(said: Said, v2: f32) -> f32 {
    v2.clamp(V2.0, V2.1) + said.fr.clamp(-FR, FR) + OWN * said.own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heads_have_a_say_where_there_is_surrounding() {
        let said = Said { v2: 1.0, fr: 1.0, own: 0.5 };
        let features = [0.01; 1024];
        let heads = simulated::added(&features, 2.0);
        assert!(heads.abs() > 0.1, "{heads}");
        let expected = joined(said, simulated::fused(1.0, &features, 2.0)) + heads;
        assert!((of(said, &features, 2.0) - expected).abs() < 1e-5);
        assert_eq!(of(said, &features, 1.0), joined(said, 1.0));
    }

    #[test]
    fn no_network_is_surer_than_its_limit_and_each_has_a_say() {
        let said = Said { v2: 0.0, fr: 1.0, own: 1.0 };
        // By hand: 3 + 1 + 2 * 1, 3 + 1.5 - 2 * 2.
        assert_eq!(joined(said, 3.0), 6.0);
        assert_eq!(joined(Said { v2: 9.0, fr: 1.5, own: -2.0 }, 3.0), 0.5);
        assert_eq!(joined(said, 50.0), joined(said, 10.0));
        assert_eq!(joined(said, -50.0), joined(said, -6.0));
        assert_eq!(joined(Said { fr: 30.0, ..said }, 0.0), joined(Said { fr: 8.0, ..said }, 0.0));
        assert!(joined(said, 3.0) > joined(Said { own: 0.5, ..said }, 3.0));
        assert!(joined(said, 3.0) > joined(Said { fr: 0.5, ..said }, 3.0));
    }
}
