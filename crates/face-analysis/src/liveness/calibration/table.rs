//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 8] =
    [(1.05, -5.57), (1.1, -4.34), (1.2, -3.87), (1.3, -2.04), (1.4, -0.67), (1.5, 0.79), (1.6, 2.08), (1.8, 2.08)];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 8] =
    [(1.05, 0.88), (1.1, 0.89), (1.2, 0.89), (1.3, 0.90), (1.4, 0.93), (1.5, 0.93), (1.6, 0.94), (1.8, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
