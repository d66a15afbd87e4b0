//! Any bytes as a picture: pixels within the limits, or an error.
#![no_main]

use face_analysis::decode::{DecodeLimits, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Small limits keep one execution short; what is checked does not depend on them.
    let limits = DecodeLimits { max_pixels: 1 << 16, max_side: 1 << 12 };
    if let Ok(picture) = decode(bytes, &limits) {
        let (width, height) = picture.seen_size();
        assert!(width > 0 && height > 0 && width * height <= 1 << 16);
        assert_eq!(picture.pixels.data().len(), width * height * 3);
    }
});
