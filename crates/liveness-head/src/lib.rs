//! A small linear head on the features of the liveness networks, fitted on an operator's own labelled pictures.
//!
//! The networks reduce a picture to a few hundred numbers before their last layer, and an early layer tells of its texture. What
//! those numbers say of a print that the last layer takes for a face can be learned from some dozen pictures: [`fit`] does it, a
//! [`Head`] keeps the result with everything that is needed to judge by it, and its file carries a checksum and the hashes of the networks that the
//! numbers come from. This crate knows nothing of pictures, networks or files of labels.

mod file;
mod fit;
mod head;

pub use file::{HeadFileError, MAX_FILE_BYTES};
pub use fit::{Linear, Sample, fit};
pub use head::{
    Decision, Figures, GeneralShare, Head, InvalidHead, KindFigures, MAX_KINDS, NetworkId, PairShare, Trust,
};
