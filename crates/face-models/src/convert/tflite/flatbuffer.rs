//! A checked reader for flatbuffers: tables, vectors and scalars, nothing that recurses.
//!
//! A table starts with the signed distance to its vtable; the vtable holds its own size, the table's size and one u16
//! per field: where the field lies in the table, or 0 for the default. Vectors and tables in fields are reached by an
//! unsigned distance from the field, a vector starts with its length. Everything is little-endian.

use super::{ConvertError, FORMAT};

fn malformed() -> ConvertError {
    ConvertError::malformed(FORMAT, "a reference in the flatbuffer leads outside of the file")
}

fn array<const LENGTH: usize>(bytes: &[u8], at: usize) -> Result<[u8; LENGTH], ConvertError> {
    bytes.get(at..).and_then(|b| b.first_chunk()).copied().ok_or_else(malformed)
}

/// Follows the unsigned distance stored at a position.
fn follow(bytes: &[u8], at: usize) -> Result<usize, ConvertError> {
    let distance = u32::from_le_bytes(array(bytes, at)?);
    at.checked_add(distance as usize).filter(|&p| p < bytes.len()).ok_or_else(malformed)
}

/// One table.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    position: usize,
    vtable: usize,
    /// Bytes in the vtable.
    size: usize,
}

/// A vector: its elements start at `start`.
#[derive(Clone, Copy)]
pub(super) struct Vector<'a> {
    bytes: &'a [u8],
    start: usize,
    length: usize,
}

impl<'a> Table<'a> {
    /// The root of a file with the given identifier.
    pub(super) fn root(bytes: &'a [u8], identifier: &[u8; 4]) -> Result<Self, ConvertError> {
        if array(bytes, 4)? != *identifier {
            return Err(ConvertError::malformed(FORMAT, "the identifier at its start is missing"));
        }
        Self::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], position: usize) -> Result<Self, ConvertError> {
        let distance = i32::from_le_bytes(array(bytes, position)?);
        let vtable = i64::try_from(position).ok().and_then(|p| usize::try_from(p - i64::from(distance)).ok());
        let vtable = vtable.ok_or_else(malformed)?;
        let size = u16::from_le_bytes(array(bytes, vtable)?).into();
        Ok(Self { bytes, position, vtable, size })
    }

    /// Where a field lies, if the table has it.
    fn field(&self, index: usize) -> Result<Option<usize>, ConvertError> {
        let entry = 4 + 2 * index;
        if entry + 2 > self.size {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(array(self.bytes, self.vtable + entry)?);
        Ok((offset != 0).then(|| self.position + usize::from(offset)))
    }

    pub(super) fn byte(&self, index: usize, default: u8) -> Result<u8, ConvertError> {
        self.field(index)?.map_or(Ok(default), |at| Ok(array::<1>(self.bytes, at)?[0]))
    }

    pub(super) fn int(&self, index: usize, default: i32) -> Result<i32, ConvertError> {
        self.field(index)?.map_or(Ok(default), |at| Ok(i32::from_le_bytes(array(self.bytes, at)?)))
    }

    pub(super) fn table(&self, index: usize) -> Result<Option<Self>, ConvertError> {
        self.field(index)?.map(|at| Self::at(self.bytes, follow(self.bytes, at)?)).transpose()
    }

    /// A vector of elements of `width` bytes; empty when the field is missing.
    fn vector(&self, index: usize, width: usize) -> Result<Vector<'a>, ConvertError> {
        let Some(at) = self.field(index)? else {
            return Ok(Vector { bytes: self.bytes, start: 0, length: 0 });
        };
        let position = follow(self.bytes, at)?;
        let length = u32::from_le_bytes(array(self.bytes, position)?) as usize;
        let start = position + 4;
        let end = length.checked_mul(width).and_then(|n| n.checked_add(start));
        end.filter(|&end| end <= self.bytes.len()).ok_or_else(malformed)?;
        Ok(Vector { bytes: self.bytes, start, length })
    }

    /// A vector of tables.
    pub(super) fn tables(&self, index: usize) -> Result<Vector<'a>, ConvertError> {
        self.vector(index, 4)
    }

    /// A vector of at most `limit` i32.
    pub(super) fn ints(&self, index: usize, limit: usize) -> Result<Vec<i32>, ConvertError> {
        let vector = self.vector(index, 4)?;
        ConvertError::check_size("a list in the flatbuffer", vector.length, limit)?;
        let bytes = self.bytes.get(vector.start..).unwrap_or_default();
        Ok(bytes.as_chunks().0.iter().take(vector.length).map(|&b| i32::from_le_bytes(b)).collect())
    }

    /// A vector of bytes.
    pub(super) fn bytes(&self, index: usize) -> Result<&'a [u8], ConvertError> {
        let vector = self.vector(index, 1)?;
        vector.bytes.get(vector.start..vector.start + vector.length).ok_or_else(malformed)
    }
}

impl<'a> Vector<'a> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The table at an index of a vector of tables.
    pub(super) fn table(&self, index: usize) -> Result<Table<'a>, ConvertError> {
        if index >= self.length {
            return Err(malformed());
        }
        Table::at(self.bytes, follow(self.bytes, self.start + 4 * index)?)
    }
}
