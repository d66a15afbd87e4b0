//! Decodes files for `scripts/decoders`: reads paths from standard input, one a line, and writes `N.ppm` for the Nth into
//! the folder that is given, and a line of tab-separated words: path, `ok`, format, orientation; or path, code, message.
#![allow(clippy::print_stdout, reason = "a development tool that talks to a script")]

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::{env, fs};

use picture_cell::{DecodeLimits, PictureError, decode};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: decode FOLDER < PATHS"))?);
    for (index, path) in io::stdin().lock().lines().enumerate() {
        let path = path?;
        match decode(&fs::read(&path)?, &DecodeLimits::default()) {
            Ok(picture) => {
                let (width, height) = (picture.pixels.width(), picture.pixels.height());
                let mut file = fs::File::create(folder.join(format!("{index}.ppm")))?;
                write!(file, "P6\n{width} {height}\n255\n")?;
                file.write_all(picture.pixels.data())?;
                println!("{path}\tok\t{}\t{}", picture.format, picture.exif_orientation);
            }
            Err(error) => println!("{path}\t{}\t{}", error.code(), said(&error)),
        }
    }
    Ok(())
}

/// The message on one line.
fn said(error: &PictureError) -> String {
    error.to_string().replace(['\t', '\n', '\r'], " ")
}
