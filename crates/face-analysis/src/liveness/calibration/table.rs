//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 12] = [
    (1.05, -5.39),
    (1.1, -4.65),
    (1.2, -3.11),
    (1.3, -1.67),
    (1.4, 0.23),
    (1.5, 1.29),
    (1.6, 2.27),
    (1.8, 2.66),
    (2.0, 2.90),
    (2.2, 2.90),
    (2.5, 2.90),
    (3.0, 2.90),
];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 8] =
    [(1.05, 0.85), (1.1, 0.89), (1.2, 0.89), (1.3, 0.91), (1.4, 0.94), (1.5, 0.94), (1.6, 0.94), (1.8, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
