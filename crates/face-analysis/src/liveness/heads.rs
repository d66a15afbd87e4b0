//! The operator's own head: read from its file, checked against the networks, exchanged while engines work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::LivenessSettings;
use crate::report::HeadName;
use liveness_head::{Head, HeadFileError, InvalidHead, NetworkId};

/// How crops are cut, features averaged and the general score made. Raised with every change that moves them by more than
/// noise, so that heads of before are refused, and runs of before not gone on with.
pub const FEATURES_REVISION: u32 = 5;

/// How many features there are of each kind, those of both published networks together: before their last layers, and of the texture
/// in an early one. A head weighs one kind as much as the other when it is fitted.
pub const FEATURE_PARTS: [usize; 2] = [2 * 512, 2 * 64];

/// A head that cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// Its file.
    #[error(transparent)]
    File(#[from] HeadFileError),
    /// It does not fit the networks.
    #[error("the liveness head {path} does not fit: {source}")]
    Unfit {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: InvalidHead,
    },
}

impl HeadName {
    /// The name of the head in a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is damaged.
    pub fn of_file(path: &Path) -> Result<Self, HeadError> {
        Ok(Self::new(path, &Head::read(path)?.1))
    }

    fn new(path: &Path, checksum: &str) -> Self {
        Self {
            name: path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            version: checksum.chars().take(12).collect(),
        }
    }
}

/// A head in use.
#[derive(Debug)]
pub(crate) struct LoadedHead {
    pub(crate) head: Head,
    pub(crate) name: HeadName,
}

/// The place that all engines of one analyzer take their head from.
#[derive(Debug)]
pub(crate) struct HeadPlace {
    path: Option<PathBuf>,
    networks: Vec<NetworkId>,
    crops: u32,
    current: RwLock<Option<Arc<LoadedHead>>>,
}

impl HeadPlace {
    /// Reads the head of the settings, if there is to be one.
    pub(crate) fn load(settings: &LivenessSettings, networks: Vec<NetworkId>) -> Result<Self, HeadError> {
        let crops = settings.crops_used() as u32;
        let place = Self { path: settings.head.clone(), networks, crops, current: RwLock::new(None) };
        place.reload()?;
        Ok(place)
    }

    /// Reads the file again. When it cannot be used the head stays as it was.
    pub(crate) fn reload(&self) -> Result<Option<HeadName>, HeadError> {
        let Some(path) = &self.path else { return Ok(None) };
        let (head, checksum) = Head::read(path)?;
        let unfit = |source| HeadError::Unfit { path: path.clone(), source };
        head.check_fits(&self.networks, FEATURES_REVISION, self.crops).map_err(unfit)?;
        if head.weights.len() != FEATURE_PARTS.iter().sum::<usize>() {
            return Err(unfit(InvalidHead::Content("it has another number of weights than there are features")));
        }
        let name = HeadName::new(path, &checksum);
        let loaded = Arc::new(LoadedHead { head, name: name.clone() });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
        Ok(Some(name))
    }

    /// The head in use.
    pub(crate) fn current(&self) -> Option<Arc<LoadedHead>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The networks that heads must belong to.
    pub(crate) fn networks(&self) -> &[NetworkId] {
        &self.networks
    }

    /// The crops of each network that their features must be the mean of.
    pub(crate) fn crops(&self) -> u32 {
        self.crops
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// What was measured and fitted: who changes it makes heads of before judge by numbers that they were not fitted on.
    #[test]
    fn the_revision_is_raised_with_the_tables_that_features_and_score_come_of() {
        let tables: [&[u8]; 4] = [
            include_bytes!("calibration/table.rs"),
            include_bytes!("simulated.bin"),
            include_bytes!("simulated_fr.bin"),
            include_bytes!("../face_box/table.rs"),
        ];
        let digest = tables.iter().fold(Sha256::new(), |hash, table| hash.chain_update(table)).finalize();
        let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (FEATURES_REVISION, short.as_str()),
            (5, "0d57334422cac410"),
            "raise FEATURES_REVISION, then write both here"
        );
    }
}
