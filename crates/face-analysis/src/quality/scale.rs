//! What a native value is worth, from 0 to 100.

/// The logistic curve with which OFIQ scales most components (Measure.h): 0.5 at `middle`, steeper for small `width`.
pub(super) fn sigmoid(x: f64, middle: f64, width: f64) -> f64 {
    1.0 / (1.0 + ((middle - x) / width).exp())
}

/// Best at 0.45, worse when the head is smaller or larger.
pub(super) fn value_of_head_size(size: f64) -> f64 {
    200.0 * (1.0 - sigmoid((size - 0.45).abs(), 0.0, 0.05))
}

/// The square of the angle's cosine (HeadPose.cpp), and nothing for a head that is turned away.
pub(super) fn value_of_angle(degrees: f64) -> f64 {
    100.0 * degrees.to_radians().cos().max(0.0).powi(2)
}

/// Good from 0.3 to 0.7 (Luminance.cpp).
pub(super) fn value_of_mean(mean: f64) -> f64 {
    100.0 * sigmoid(mean, 0.2, 0.05) * (1.0 - sigmoid(mean, 0.8, 0.05))
}

/// Best at 1/60, worse for a flat picture as for one of hard contrasts (Luminance.cpp).
pub(super) fn value_of_variance(variance: f64) -> f64 {
    100.0 * (60.0 * variance / (60.0 * variance + 1.0) * std::f64::consts::PI).sin()
}

/// Ours: 50 at a blur of 0.03 eye distances, as of two pixels where the eyes are 67 apart.
pub(super) fn value_of_blur(blur: f64) -> f64 {
    100.0 * (1.0 - sigmoid(blur, 0.03, 0.007))
}

/// Ours.
pub(super) fn value_of_blocking(excess: f64) -> f64 {
    100.0 * (1.0 - sigmoid(excess, 0.5, 0.12))
}
