//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 12] = [
    (1.05, -3.87),
    (1.1, -3.67),
    (1.2, -3.35),
    (1.3, -2.84),
    (1.4, -2.58),
    (1.5, -1.98),
    (1.6, -1.62),
    (1.8, -1.00),
    (2.0, -0.99),
    (2.2, -0.99),
    (2.5, -0.99),
    (3.0, -0.99),
];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 7] =
    [(1.05, 0.92), (1.1, 0.96), (1.2, 0.99), (1.3, 1.00), (1.4, 1.00), (1.5, 1.00), (1.6, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
