//! The measured curves. Written by training/liveness/calibrate.py; do not edit.

/// Surrounding, and the log-odds at the operating point there.
pub(super) const LEVELS: [(f32, f32); 8] =
    [(1.05, -5.77), (1.1, -4.54), (1.2, -4.04), (1.3, -2.30), (1.4, -1.12), (1.5, 0.36), (1.6, 1.00), (1.8, 1.00)];

/// Surrounding, and what is left of the networks' power there.
pub(super) const RELIABILITY: [(f32, f32); 8] =
    [(1.05, 0.88), (1.1, 0.88), (1.2, 0.88), (1.3, 0.90), (1.4, 0.92), (1.5, 0.93), (1.6, 0.94), (1.8, 1.00)];

/// What log-odds are multiplied with.
pub(super) const TEMPER: f32 = 0.5;
