//! What is done with hostile bytes, for the fuzzer (`fuzz/`) and for a short, repeatable run among the tests.

use std::cell::RefCell;
use std::path::Path;

use face_analysis::{Verdict, Wanted};
use face_models::Manifest;
use face_models::convert::{dlib, faceapi, geometry, onnx_minifasnet, tflite, torch, yunet};
use face_service::buffer::Buffer;
use face_service::contract::DetectRequest;
use face_service::link::{LinkFetcher, LinkSettings};
use face_service::source::Source;
use image::ImageFormat;
use picture_cell::{DecodeLimits, decode};
use tokio::runtime::{Builder, Runtime};

use crate::{cropped, encoded, jpeg, jpeg_with_orientation, portrait};

/// A way into the program: it takes any bytes, and panics when what it promises does not hold.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also the name of the fuzz target and of its corpus.
    pub name: &'static str,
    /// One execution.
    pub run: fn(&[u8]),
}

/// All ways in.
pub const TARGETS: [Target; 5] = [
    Target { name: "decode", run: pixels },
    Target { name: "request", run: request },
    Target { name: "link", run: link },
    Target { name: "weights", run: weights },
    Target { name: "analyze", run: analysis },
];

/// Any bytes as a picture: pixels within the limits, or an error.
pub fn pixels(bytes: &[u8]) {
    // Small limits keep one execution short; what is checked does not depend on them.
    let limits = DecodeLimits { max_pixels: 1 << 16, max_side: 1 << 12, ..DecodeLimits::default() };
    if let Ok(picture) = decode(bytes, &limits) {
        let (width, height) = picture.seen_size();
        assert!(width > 0 && height > 0 && width * height <= 1 << 16);
        assert_eq!(picture.pixels.data().len(), width * height * 3);
    }
}

/// Any bytes as a detect request: its fields, or a problem that names one.
pub fn request(body: &[u8]) {
    match DetectRequest::parse(body) {
        Ok(request) => {
            let characters = request.session_id.chars().count();
            assert!((1..=128).contains(&characters) && !request.session_id.contains(['\n', '\r', '\0']));
            let (mut body, text) = (body.to_vec(), request.face_image_base);
            let escaped = [b"\"", &body[text.clone()], b"\""].concat();
            let resolved = serde_json::from_slice::<String>(&escaped);
            match Source::read(&mut body, text, 1 << 16) {
                Ok(Source::Bytes(place)) => assert!(place.len() <= 1 << 16),
                // As somebody else resolves the escapes.
                Ok(Source::Link(place)) => {
                    assert_eq!(body[place], *resolved.expect("a string").trim_ascii().as_bytes());
                }
                Err(problem) => assert!(problem.status.is_client_error()),
            }
        }
        Err(error) => assert!(error.problem.status.is_client_error()),
    }
}

/// Any text as a link: all that is judged before the network, which is not reached because no port is allowed.
pub fn link(bytes: &[u8]) {
    thread_local! {
        static STATE: RefCell<(Runtime, LinkFetcher)> = RefCell::new((
            Builder::new_current_thread().enable_time().build().unwrap(),
            LinkFetcher::new(LinkSettings { ports: Vec::new(), ..LinkSettings::default() }, 1.0).unwrap(),
        ));
    }
    let Ok(link) = std::str::from_utf8(bytes) else { return };
    STATE.with_borrow(|(runtime, fetcher)| {
        let fetched = fetcher.fetch(link, Buffer::alone(1000), true, ());
        let problem = runtime.block_on(fetched).expect_err("no port is allowed");
        assert_eq!(problem.status.as_u16(), 422);
        assert!(matches!(problem.code, "link_refused" | "link_malformed"), "{}", problem.code);
    });
}

/// Any bytes as weights or manifest: a network, or an error. The first byte chooses the reader.
pub fn weights(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    match choice % 9 {
        0 => drop(torch::minifasnet(file)),
        1 => drop(dlib::age(file)),
        2 => drop(dlib::gender(file)),
        3 => drop(yunet::make_dynamic(file)),
        4 => drop(tflite::face_landmarks(file)),
        5 => drop(geometry::canonical_face(file)),
        6 => {
            let half = file.len() / 2;
            drop(faceapi::age_gender(&file[..half], &file[half..]));
        }
        7 => drop(std::str::from_utf8(file).map(Manifest::parse)),
        _ => drop(onnx_minifasnet::minifasnet(file)),
    }
}

/// Any bytes through the whole pipeline with the real networks.
pub fn analysis(bytes: &[u8]) {
    let wanted = Wanted { face_image: true, details: true };
    let Ok(analysis) = crate::analyzer().analyze(bytes, wanted) else { return };
    let details = analysis.details.expect("asked for");
    if let Verdict::Accepted(face) = analysis.verdict {
        let r = face.rectangle;
        assert!(r.right <= details.image.width && r.bottom <= details.image.height && r.width > 0 && r.height > 0);
        assert!((0.0..=1.0).contains(&face.passive_liveness_score) && (-10_000..=10_000).contains(&face.gender));
        assert!(face.image.is_some());
    }
}

/// What a target starts from: a name and the bytes.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "decode" => pictures(16, 12),
        "analyze" => pictures(110, 120),
        "request" => texts(&[
            ("base64", r#"{"sessionId":"a","faceImageBase":"/9j/4AAQSkZJRg=="}"#),
            ("uri", r#"{"sessionId":"\u00fc","faceImageBase":"data:image/png;base64,iVBORw0K","returnDetails":true}"#),
            ("link", r#"{"sessionId":"a","faceImageBase":"https://example.com/a","returnFaceImage":null,"x":[{}]}"#),
        ]),
        "link" => texts(&[
            ("plain", "https://example.com/a.jpg?b=c"),
            ("login", "http://a:b@[::ffff:127.0.0.1]:80/"),
            ("number", "http://0x7f.1/%2e%2e/"),
            ("idn", "http://bücher.example:443/ä#f"),
        ]),
        "weights" => {
            let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../face-models");
            let manifest = std::fs::read(models.join("manifest.toml")).unwrap();
            let onnx = std::fs::read(models.join("weights/occlusion.onnx")).unwrap();
            let mut seeds = vec![("manifest".to_owned(), [&[7], &manifest[..]].concat())];
            for reader in 1..7 {
                seeds.push((format!("onnx{reader}"), [&[reader], &onnx[..4096]].concat()));
            }
            // PyTorch's legacy format begins with a pickled magic number.
            seeds.push(("pth".into(), b"\x00\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec()));
            seeds
        }
        _ => Vec::new(),
    }
}

fn texts(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

/// A face in every format: small, so that an execution is short.
fn pictures(width: u32, height: u32) -> Vec<(String, Vec<u8>)> {
    let face = cropped(&portrait(0.5), 60, 0, 110, 120);
    let part = cropped(&face, (110 - width) / 2, (120 - height) / 2, width, height);
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];
    let mut list: Vec<_> = formats.iter().map(|format| (format!("{format:?}"), encoded(&part, *format))).collect();
    list.push(("Jpeg".into(), jpeg(&part, 80)));
    list.push(("JpegExif".into(), jpeg_with_orientation(&part, 80, 6)));
    list
}

/// The same changes on every machine (xorshift; Marsaglia 2003).
#[derive(Debug)]
pub struct Mutations(u64);

impl Default for Mutations {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Mutations {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// The bytes with up to seven changes: a byte, a bit, a cut, an insertion, a part repeated.
    pub fn apply(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at.max(1)),
                3 => bytes.insert(at, [0, 0xff, 0x7f, 0x80][self.below(4)]),
                _ => {
                    let part = bytes[at..bytes.len().min(at + 1 + self.below(32))].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        bytes
    }
}
