//! Writes a seed corpus for the fuzz targets: `cargo run --release -p testkit --example fuzz_seeds -- fuzz/corpus`.

use std::error::Error;
use std::path::PathBuf;

use testkit::fuzz::{TARGETS, seeds};

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: fuzz_seeds FOLDER")?);
    for target in TARGETS {
        let folder = corpus.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds(target.name) {
            std::fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
