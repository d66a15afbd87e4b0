//! `cargo bench -p face-service`: what stands before and after an analysis, on the packaged portrait of 1280x720: the
//! request read and its Base64 decoded, the answer written.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use face_analysis::{Analysis, Wanted};
use face_service::contract::{DetectRequest, FaceImagePlace, analysis_json};
use face_service::source::Source;

fn main() {
    divan::main();
}

fn portrait() -> Vec<u8> {
    testkit::portrait_photo(1280, 720)
}

fn analysed(wanted: Wanted) -> Analysis {
    testkit::analyzer().analyze(&portrait(), wanted).expect("a picture")
}

#[divan::bench]
fn request(bencher: Bencher) {
    let picture = base64_simd::STANDARD.encode_to_string(portrait());
    let body = format!("{{\"sessionId\":\"bench\",\"faceImageBase\":\"{picture}\"}}");
    // The body is decoded in place, so each round has one of its own.
    bencher.counter(BytesCount::of_str(&body)).with_inputs(|| body.clone().into_bytes()).bench_values(|mut body| {
        let request = DetectRequest::parse(&body).expect("a request");
        let text = request.face_image_base;
        let picture = Source::read(&mut body, text, 12 << 20).expect("a picture");
        assert!(matches!(black_box(picture), Source::Bytes(_)));
        body
    });
}

#[divan::bench(args = ["plain", "face image", "details"])]
fn answer(bencher: Bencher, kind: &str) {
    let analysis = analysed(Wanted { face_image: kind == "face image", details: kind == "details" });
    let length = analysis_json("bench", &analysis, FaceImagePlace::Both).len();
    bencher.counter(BytesCount::new(length)).bench(|| analysis_json("bench", &analysis, FaceImagePlace::Both));
}

#[divan::bench]
fn refusal(bencher: Bencher) {
    let analysis = testkit::analyzer().analyze(&testkit::picture("coffee.png"), Wanted::default()).expect("a picture");
    bencher.bench(|| analysis_json("bench", &analysis, FaceImagePlace::Both));
}
