//! MediaPipe's `.task` bundles: zip archives of models.

use super::ConvertError;
use std::io::{Cursor, Read};

/// Upper limits of the bundle and of one entry; `face_landmarker.task` has 3.8 MB.
const MAX_BUNDLE: usize = 32 << 20;
const MAX_ENTRY: usize = 16 << 20;

/// One entry of a bundle.
pub(super) fn entry(bundle: &[u8], name: &str) -> Result<Vec<u8>, ConvertError> {
    ConvertError::check_size("the task bundle", bundle.len(), MAX_BUNDLE)?;
    let malformed = |reason: String| ConvertError::malformed("MediaPipe task", reason);
    let mut archive = zip::ZipArchive::new(Cursor::new(bundle)).map_err(|e| malformed(e.to_string()))?;
    let file = archive.by_name(name).map_err(|e| malformed(format!("`{name}`: {e}")))?;
    let mut content = Vec::new();
    // The size that the archive declares is not trusted: reading stops behind the limit.
    let limit = MAX_ENTRY as u64 + 1;
    file.take(limit).read_to_end(&mut content).map_err(|e| malformed(format!("`{name}`: {e}")))?;
    ConvertError::check_size(name, content.len(), MAX_ENTRY)?;
    Ok(content)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    /// A bundle with one entry.
    pub(in crate::convert) fn bundle(name: &str, content: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn reads_an_entry() {
        let bundle = bundle("model", b"content");
        assert_eq!(entry(&bundle, "model").unwrap(), b"content");
        assert!(entry(&bundle, "other").unwrap_err().to_string().contains("other"));
        assert!(entry(b"no archive", "model").is_err());
    }

    #[test]
    fn stops_reading_an_entry_that_unpacks_to_too_much() {
        let bundle = bundle("model", &vec![0; MAX_ENTRY + 1]);
        assert!(bundle.len() < MAX_ENTRY / 100);
        assert!(matches!(entry(&bundle, "model"), Err(ConvertError::TooLarge { .. })));
    }

    #[test]
    fn survives_damaged_bundles() {
        crate::convert::hostile::survives_damage(&bundle("model", b"content"), |bytes| entry(bytes, "model"));
    }
}
