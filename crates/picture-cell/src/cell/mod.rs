//! Decoding in a cell: a small process that can do nothing but turn bytes into pixels, and that may fail in any way.
//!
//! The parent ([`Cells`]) copies the encoded picture into memory that both share and sends a request of fixed size; the
//! child ([`run`]) decodes into the same memory and sends an answer of fixed size. Then the parent stops the child, so
//! that the pixels hold still while they are looked at. It believes nothing of the answer: see `protocol`.

mod child;
mod confinement;
mod parent;
mod place;
mod pool;
mod protocol;

pub use child::run;
pub use parent::Program;
pub use pool::Cells;
