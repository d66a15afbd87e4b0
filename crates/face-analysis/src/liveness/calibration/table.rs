//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 12] = [
    (1.05, -5.98),
    (1.1, -5.23),
    (1.2, -3.70),
    (1.3, -2.26),
    (1.4, -0.36),
    (1.5, 0.70),
    (1.6, 1.69),
    (1.8, 2.06),
    (2.0, 2.18),
    (2.2, 2.18),
    (2.5, 2.18),
    (3.0, 2.18),
];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 8] =
    [(1.05, 0.85), (1.1, 0.89), (1.2, 0.89), (1.3, 0.92), (1.4, 0.94), (1.5, 0.94), (1.6, 0.94), (1.8, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
