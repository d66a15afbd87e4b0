//! Any bytes through the whole pipeline with the real networks.
#![no_main]

use face_analysis::{Verdict, Wanted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(analysis) = testkit::analyzer().analyze(bytes, Wanted { face_image: true, details: true }) else { return };
    let details = analysis.details.expect("asked for");
    if let Verdict::Accepted(face) = analysis.verdict {
        let r = face.rectangle;
        assert!(r.right <= details.image.width && r.bottom <= details.image.height && r.width > 0 && r.height > 0);
        assert!((0.0..=1.0).contains(&face.passive_liveness_score) && (-10_000..=10_000).contains(&face.gender));
        assert!(face.image.is_some());
    }
});
