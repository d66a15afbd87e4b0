//! `cargo bench -p face-analysis`: each stage of an analysis alone, on the packaged portrait in four
//! sizes. How much of it is the networks' own is what `facegate bench` says.

use divan::Bencher;
use face_analysis::Settings;
use face_analysis::stages::{Stage, Stages};

fn main() {
    divan::main();
}

/// Width and height in pixels.
const SIZES: [(u32, u32); 4] = [(640, 480), (1280, 720), (1080, 1920), (4000, 3000)];

fn cases() -> impl Iterator<Item = (Stage, (u32, u32))> {
    SIZES.into_iter().flat_map(|size| Stage::ALL.map(|stage| (stage, size)))
}

#[divan::bench(args = cases())]
fn stage(bencher: Bencher, (stage, (width, height)): (Stage, (u32, u32))) {
    let picture = testkit::portrait_photo(width, height);
    let mut stages = Stages::prepare(&testkit::models(), Settings::default(), picture).expect("an accepted portrait");
    bencher.bench_local(|| stages.run(stage).expect("the stage runs"));
}
