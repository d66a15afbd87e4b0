//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 12] = [
    (1.05, -4.10),
    (1.1, -3.94),
    (1.2, -3.58),
    (1.3, -2.99),
    (1.4, -2.68),
    (1.5, -2.13),
    (1.6, -1.52),
    (1.8, -1.24),
    (2.0, -1.24),
    (2.2, -0.99),
    (2.5, -0.99),
    (3.0, -0.99),
];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 4] = [(1.05, 0.89), (1.1, 0.93), (1.2, 0.98), (1.3, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
