//! Where the face of the packaged portrait lies, marked by hand, and how well a box agrees with it.

use face_analysis::report::Extent;

/// The portrait's face in its original 512x512 pixels, from hairline to chin and from cheek to cheek, marked by hand.
const FACE: Extent = Extent { left: 180.0, top: 62.0, width: 90.0, height: 118.0 };

/// The hand-marked face of the portrait after enlarging by `scale` and moving by `left`, `top`.
pub fn marked(scale: f32, left: f32, top: f32) -> Extent {
    Extent {
        left: FACE.left * scale + left,
        top: FACE.top * scale + top,
        width: FACE.width * scale,
        height: FACE.height * scale,
    }
}

/// Intersection over union of two boxes.
pub fn overlap(a: Extent, b: Extent) -> f32 {
    let width = (a.left + a.width).min(b.left + b.width) - a.left.max(b.left);
    let height = (a.top + a.height).min(b.top + b.height) - a.top.max(b.top);
    let both = width.max(0.0) * height.max(0.0);
    both / (a.width * a.height + b.width * b.height - both)
}
