//! A checked reader for flatbuffers: tables, vectors and scalars, nothing that recurses.
//!
//! A table starts with the signed distance to its vtable; the vtable holds its own size, the table's size and one u16
//! per field: where the field lies in the table, or 0 for the default. Vectors and tables in fields are reached by an
//! unsigned distance from the field, a vector starts with its length. Everything is little-endian.

use crate::convert::ConvertError;

/// What errors call these files.
pub(super) const FORMAT: &str = "TensorFlow Lite";

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;

    /// A field of a table under construction.
    pub(in crate::convert::tflite) enum Field {
        Byte(u8),
        Int(i32),
        Table(Vec<(usize, Field)>),
        Tables(Vec<Vec<(usize, Field)>>),
        Ints(Vec<i32>),
        Bytes(Vec<u8>),
    }

    /// Writes a file whose root table has the given fields.
    pub(in crate::convert::tflite) fn write(identifier: &[u8; 4], root: &[(usize, Field)]) -> Vec<u8> {
        let mut out = [&[0; 4], identifier.as_slice()].concat();
        let root = table(&mut out, root);
        out[..4].copy_from_slice(&u32::try_from(root).unwrap().to_le_bytes());
        out
    }

    fn table(out: &mut Vec<u8>, fields: &[(usize, Field)]) -> usize {
        let entries = fields.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        let vtable = out.len();
        let mut offsets = vec![0u16; entries];
        for (slot, (index, _)) in fields.iter().enumerate() {
            offsets[*index] = u16::try_from(4 + 4 * slot).unwrap();
        }
        let sizes = [4 + 2 * entries, 4 + 4 * fields.len()].map(|s| u16::try_from(s).unwrap());
        out.extend(sizes.iter().chain(&offsets).flat_map(|v| v.to_le_bytes()));
        let position = out.len();
        out.extend(i32::try_from(position - vtable).unwrap().to_le_bytes());
        out.resize(position + 4 + 4 * fields.len(), 0);
        for (slot, (_, field)) in fields.iter().enumerate() {
            let at = position + 4 + 4 * slot;
            match field {
                Field::Byte(value) => out[at] = *value,
                Field::Int(value) => out[at..at + 4].copy_from_slice(&value.to_le_bytes()),
                Field::Table(fields) => {
                    let child = table(out, fields);
                    point(out, at, child);
                }
                Field::Tables(children) => {
                    let start = vector(out, at, children.len());
                    out.resize(start + 4 * children.len(), 0);
                    for (i, fields) in children.iter().enumerate() {
                        let child = table(out, fields);
                        point(out, start + 4 * i, child);
                    }
                }
                Field::Ints(values) => {
                    vector(out, at, values.len());
                    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                }
                Field::Bytes(values) => {
                    vector(out, at, values.len());
                    out.extend(values);
                }
            }
        }
        position
    }

    fn point(out: &mut [u8], at: usize, target: usize) {
        out[at..at + 4].copy_from_slice(&u32::try_from(target - at).unwrap().to_le_bytes());
    }

    fn vector(out: &mut Vec<u8>, at: usize, length: usize) -> usize {
        let position = out.len();
        point(out, at, position);
        out.extend(u32::try_from(length).unwrap().to_le_bytes());
        position + 4
    }

    fn sample() -> Vec<u8> {
        let child = || vec![(0, Field::Int(-7))];
        let fields = [
            (0, Field::Byte(3)),
            (2, Field::Table(child())),
            (3, Field::Tables(vec![child(), Vec::new()])),
            (4, Field::Ints(vec![1, -2])),
            (5, Field::Bytes(b"abc".to_vec())),
        ];
        write(b"TEST", &fields)
    }

    /// Reads every field: the numbers followed by the list, and the bytes.
    fn read(bytes: &[u8]) -> Result<(Vec<i32>, &[u8]), ConvertError> {
        let root = Table::root(bytes, b"TEST")?;
        let child = root.table(2)?.map_or(Ok(0), |t| t.int(0, 0))?;
        let tables = root.tables(3)?;
        let numbers = [root.byte(0, 0)?.into(), child, tables.len() as i32, tables.table(1)?.int(0, 9)?];
        Ok((numbers.into_iter().chain(root.ints(4, 8)?).collect(), root.bytes(5)?))
    }

    #[test]
    fn reads_fields_and_defaults() {
        let bytes = sample();
        assert_eq!(read(&bytes).unwrap(), (vec![3, -7, 2, 9, 1, -2], b"abc".as_slice()));
        let root = Table::root(&bytes, b"TEST").unwrap();
        assert_eq!((root.byte(1, 42).unwrap(), root.int(100, 43).unwrap()), (42, 43));
        assert!(root.table(1).unwrap().is_none());
        assert_eq!((root.tables(7).unwrap().len(), root.bytes(8).unwrap().len()), (0, 0));
    }

    #[test]
    fn refuses_references_out_of_the_file() {
        let valid = sample();
        assert!(Table::root(&valid, b"ELSE").is_err());
        let root = Table::root(&valid, b"TEST").unwrap();
        assert!(root.tables(3).unwrap().table(2).is_err());
        assert!(matches!(root.ints(4, 1), Err(ConvertError::TooLarge { .. })));
        let far = [&u32::MAX.to_le_bytes(), &valid[4..]].concat();
        assert!(Table::root(&far, b"TEST").is_err());
        for end in 0..valid.len() {
            assert!(read(&valid[..end]).is_err(), "{end} of {} bytes", valid.len());
        }
    }

    #[test]
    fn survives_damaged_files() {
        survives_damage(&sample(), |bytes| read(bytes).map(|_| ()));
    }
}
