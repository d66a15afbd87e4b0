//! probe
mod kit;
use face_analysis::report::QualityComponent;
use image::{Rgb, RgbImage};
use std::collections::BTreeMap;
type Quality = BTreeMap<&'static str, QualityComponent>;
fn quality(bytes: &[u8]) -> Quality { let a = kit::analyze(bytes); let d = a.details.unwrap(); print!("[{:.2} ms] ", d.timings.get("quality").copied().unwrap_or(-1.0)); d.quality.unwrap_or_default() }
fn show(label: &str, q: &Quality) { println!("{label}"); for (k, v) in q { print!("  {k}: {:.4} {}", v.raw, v.value); } println!(); }
fn each(p: &RgbImage, f: impl Fn(f32) -> f32) -> RgbImage { let mut p = p.clone(); for px in p.pixels_mut() { *px = Rgb(px.0.map(|v| f(v as f32).round().clamp(0.0, 255.0) as u8)); } p }
#[test]
fn probe() {
    let p = kit::portrait(2.0);
    for s in [4.0f32, 3.0, 2.5, 2.0, 1.5, 1.25, 1.0, 0.75, 0.5] { show(&format!("scale {s}"), &quality(&kit::png(&kit::portrait(s)))); }
    for g in [1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.07, 0.05] { show(&format!("dark {g}"), &quality(&kit::png(&each(&p, |v| v * g)))); }
    for g in [1.1, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0] { show(&format!("bright {g}"), &quality(&kit::png(&each(&p, |v| v * g)))); }
    for g in [0.8, 0.6, 0.45, 0.3, 0.2, 0.1, 0.05] { show(&format!("contrast {g}"), &quality(&kit::png(&each(&p, |v| 128.0 + (v - 128.0) * g)))); }
    for s in [0.5f32, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0] { show(&format!("blur {s}"), &quality(&kit::png(&image::imageops::blur(&p, s)))); }
    for q in [98, 95, 90, 80, 70, 60, 50, 40, 30, 20, 15, 10, 5] { show(&format!("jpeg {q}"), &quality(&kit::jpeg(&p, q))); }
    for q in [90, 70, 50, 30, 20, 10] { show(&format!("jpeg at 1x {q}"), &quality(&kit::jpeg(&kit::portrait(1.0), q))); }
}
