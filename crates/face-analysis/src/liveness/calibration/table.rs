//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 12] = [
    (1.05, -2.00),
    (1.1, -1.76),
    (1.2, -1.29),
    (1.3, -1.16),
    (1.4, -0.67),
    (1.5, -0.23),
    (1.6, -0.01),
    (1.8, 0.67),
    (2.0, 0.81),
    (2.2, 0.81),
    (2.5, 0.81),
    (3.0, 0.81),
];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 8] =
    [(1.05, 0.95), (1.1, 1.00), (1.2, 1.00), (1.3, 1.00), (1.4, 1.00), (1.5, 1.00), (1.6, 1.00), (1.8, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
