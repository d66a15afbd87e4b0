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
