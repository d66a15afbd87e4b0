//! Any bytes as a detect request: its fields, or a problem that names one.
#![no_main]

use facegate::server::contract::DetectRequest;
use facegate::server::source::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match DetectRequest::parse(body) {
        Ok(request) => {
            let characters = request.session_id.chars().count();
            assert!((1..=128).contains(&characters) && !request.session_id.contains(['\n', '\r', '\0']));
            if let Ok(Source::Bytes(bytes)) = Source::read(&request.face_image_base, 1 << 16) {
                assert!(bytes.len() <= 1 << 16);
            }
        }
        Err(error) => assert!(error.problem.status.is_client_error()),
    }
});
