//! Rows as Parquet: a row group a file, compressed with Snappy, text as UTF-8.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::row::{Cell, Column, Row, columns};

/// A whole file with these rows. `record` says what they were made with and stands in the file's metadata.
pub fn write(rows: &[Row], with_details: bool, record: &str) -> Result<Bytes> {
    let fields = columns(with_details).map(|column| field(column).map(Arc::new)).collect::<Result<_>>()?;
    let schema = Type::group_type_builder("facegate").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new("facegate".to_owned(), record.to_owned())]))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for column in columns(with_details) {
        let mut writer = group.next_column()?.ok_or_else(|| ParquetError::General("a column is missing".into()))?;
        let cells = || rows.iter().map(|row| (column.cell)(row));
        match kind(column) {
            Cell::Text(_) => fill::<ByteArrayType>(
                &mut writer,
                cells().map(|cell| match cell {
                    Cell::Text(text) => text.map(ByteArray::from),
                    _ => None,
                }),
            )?,
            Cell::Integer(_) => fill::<Int32Type>(
                &mut writer,
                cells().map(|cell| match cell {
                    Cell::Integer(number) => number,
                    _ => None,
                }),
            )?,
            Cell::Number(_) => fill::<FloatType>(
                &mut writer,
                cells().map(|cell| match cell {
                    Cell::Number(number) => number,
                    _ => None,
                }),
            )?,
        }
        writer.close()?;
    }
    group.close()?;
    Ok(file.into_inner()?.into())
}

/// The kind of cell that a column has in every row.
fn kind(column: &Column) -> Cell<'static> {
    match (column.cell)(&Row::default()) {
        Cell::Text(_) => Cell::Text(None),
        Cell::Integer(_) => Cell::Integer(None),
        Cell::Number(_) => Cell::Number(None),
    }
}

fn field(column: &Column) -> Result<Type> {
    let (physical, logical) = match kind(column) {
        Cell::Text(_) => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        Cell::Integer(_) => (PhysicalType::INT32, None),
        Cell::Number(_) => (PhysicalType::FLOAT, None),
    };
    Type::primitive_type_builder(column.name, physical)
        .with_logical_type(logical)
        .with_repetition(Repetition::OPTIONAL)
        .build()
}

/// Writes one column: a level for each row (1 where there is a value), and the values.
fn fill<T: DataType>(writer: &mut SerializedColumnWriter<'_>, cells: impl Iterator<Item = Option<T::T>>) -> Result<()> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    writer.typed::<T>().write_batch(&values, Some(&levels), None)?;
    Ok(())
}

/// The first two columns of a file: names and outcomes.
pub fn names_and_outcomes(file: Bytes) -> Result<Vec<(String, String)>> {
    let reader = SerializedFileReader::new(file)?;
    let mut all = Vec::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
        let column = |index: usize| -> Result<Vec<String>> {
            let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(index)? else {
                return Err(ParquetError::General(format!("column {index} is no text")));
            };
            let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
            while values.len() < rows {
                let (read, _, _) = reader.read_records(rows - values.len(), Some(&mut levels), None, &mut values)?;
                if read == 0 {
                    return Err(ParquetError::General(format!("column {index} has {} of {rows} rows", values.len())));
                }
            }
            values.iter().map(|value| Ok(value.as_utf8()?.to_owned())).collect()
        };
        all.extend(column(0)?.into_iter().zip(column(1)?));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use parquet::record::Field;

    use super::*;

    #[test]
    fn every_cell_is_read_back_by_the_rows_of_another_reader() {
        let rows = [
            Row {
                picture: "ü, \"x\".jpg".into(),
                outcome: "OK",
                age: Some(30),
                gender: Some(-9874),
                passive_liveness_score: Some(0.8483),
                rectangle: Some([132, 360, 179, 221]),
                ..Row::default()
            },
            Row::unreadable("b".into(), "image_malformed", "why"),
        ];
        let file = write(&rows, false, "{\"program\":\"x\"}").expect("writes");
        assert_eq!(
            names_and_outcomes(file.clone()).expect("reads"),
            [("ü, \"x\".jpg".to_owned(), "OK".to_owned()), ("b".to_owned(), "INTERNAL_ERROR".to_owned())]
        );
        // The record reader of the parquet crate assembles rows by the file's own schema.
        let reader = SerializedFileReader::new(file).expect("a file");
        let metadata = reader.metadata().file_metadata().key_value_metadata().expect("metadata");
        assert!(
            metadata
                .iter()
                .any(|entry| entry.key == "facegate" && entry.value.as_deref() == Some("{\"program\":\"x\"}"))
        );
        let read: Vec<Vec<(String, Field)>> = reader
            .get_row_iter(None)
            .expect("rows")
            .map(|row| {
                row.expect("a row").get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
            })
            .collect();
        let cell = |row: usize, name: &str| &read[row].iter().find(|(known, _)| known == name).expect("a column").1;
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [11, 11]);
        assert_eq!(cell(0, "picture"), &Field::Str("ü, \"x\".jpg".into()));
        assert_eq!(cell(0, "gender"), &Field::Int(-9874));
        assert_eq!(cell(0, "passive_liveness_score"), &Field::Float(0.8483));
        assert_eq!(cell(0, "height"), &Field::Int(221));
        assert_eq!(cell(0, "error_code"), &Field::Null);
        assert_eq!((cell(1, "error_code"), cell(1, "age")), (&Field::Str("image_malformed".into()), &Field::Null));
    }
}
