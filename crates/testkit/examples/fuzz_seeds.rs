//! Writes a seed corpus for the fuzz targets: `cargo run --release -p testkit --example fuzz_seeds -- fuzz/corpus`.

use std::error::Error;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use testkit::{cropped, encoded, jpeg, jpeg_with_orientation, portrait};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: fuzz_seeds FOLDER")?);
    let write = |target: &str, name: &str, bytes: &[u8]| -> Result<(), Box<dyn Error>> {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
        Ok(())
    };
    // Small, so that an execution is short; with a face, so that every stage runs.
    let face = cropped(&portrait(0.5), 60, 0, 110, 120);
    let tiny = cropped(&face, 40, 40, 16, 12);
    for (name, format) in [
        ("png", ImageFormat::Png),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("gif", ImageFormat::Gif),
        ("tiff", ImageFormat::Tiff),
    ] {
        write("decode", name, &encoded(&tiny, format))?;
        write("analyze", name, &encoded(&face, format))?;
    }
    write("decode", "jpeg", &jpeg(&tiny, 80))?;
    write("decode", "jpeg_exif", &jpeg_with_orientation(&tiny, 80, 6))?;
    write("analyze", "jpeg", &jpeg(&face, 80))?;
    write("analyze", "jpeg_exif", &jpeg_with_orientation(&face, 80, 6))?;
    for (name, body) in [
        ("base64", r#"{"sessionId":"a","faceImageBase":"/9j/4AAQSkZJRg=="}"#),
        ("uri", r#"{"sessionId":"\u00fc","faceImageBase":"data:image/png;base64,iVBORw0K","returnDetails":true}"#),
        ("link", r#"{"sessionId":"a","faceImageBase":"https://example.com/a.jpg","returnFaceImage":null,"x":[{}]}"#),
    ] {
        write("request", name, body.as_bytes())?;
    }
    for (name, link) in [
        ("plain", "https://example.com/a.jpg?b=c"),
        ("login", "http://a:b@[::ffff:127.0.0.1]:80/"),
        ("number", "http://0x7f.1/%2e%2e/"),
        ("idn", "http://bücher.example:443/ä#f"),
    ] {
        write("link", name, link.as_bytes())?;
    }
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../face-models");
    let manifest = std::fs::read(models.join("manifest.toml"))?;
    write("weights", "manifest", &[&[7], &manifest[..]].concat())?;
    let occlusion = std::fs::read(models.join("weights/occlusion.onnx"))?;
    for reader in 1..4 {
        write("weights", &format!("onnx{reader}"), &[&[reader], &occlusion[..4096]].concat())?;
    }
    // PyTorch's legacy format begins with a pickled magic number.
    write("weights", "pth", b"\x00\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")?;
    Ok(())
}
