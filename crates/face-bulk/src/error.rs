//! What a store can fail with.

use object_store::Error;

/// A fault of a store, which is none of a picture.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names no store that this program knows.
    #[error("{0}")]
    Address(String),
    /// The store has failed for good, or too often.
    #[error("{what}: {}", chain(.source))]
    Failed {
        /// What was being done.
        what: String,
        /// What the store said.
        source: Error,
    },
}

/// An error and what is behind it; a cause that its error has quoted already is not told twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
