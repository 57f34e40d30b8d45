//! The requests of all runs as a Parquet file.

use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::Type;
use llm_bench::Results;
use llm_bench::summary::{RunSummary, SummaryRow};
use serde::Serialize;
use serde_json::Value;

/// A row per request of all runs, and a row group per run.
pub(super) fn requests(results: &Results) -> Result<Vec<u8>> {
    let fields = COLUMNS.iter().map(|(name, values)| {
        let field = Type::primitive_type_builder(name, values.physical())
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(values.logical());
        field.build().map(Arc::new)
    });
    let schema = Type::group_type_builder("requests")
        .with_fields(fields.collect::<Result<_>>()?)
        .build()?;
    let version = concat!("polyllm ", env!("CARGO_PKG_VERSION"));
    let properties = WriterProperties::builder().set_created_by(version.to_owned());
    let properties = Arc::new(properties.build());
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties)?;
    for run in &results.runs {
        let mut group = file.next_row_group()?;
        for (_, values) in COLUMNS {
            let column = group.next_column()?;
            let column = column.ok_or_else(|| ParquetError::General("too few columns".into()))?;
            values.write(column, run)?;
        }
        group.close()?;
    }
    file.into_inner()
}

/// The type of a column, and its value for a request.
enum Values {
    Flag(fn(&SummaryRow) -> bool),
    Real(fn(&SummaryRow) -> Option<f64>),
    Text(fn(&RunSummary, &SummaryRow) -> Option<String>),
    Whole(fn(&RunSummary, &SummaryRow) -> Option<i64>),
}

impl Values {
    fn physical(&self) -> PhysicalType {
        match self {
            Self::Flag(_) => PhysicalType::BOOLEAN,
            Self::Real(_) => PhysicalType::DOUBLE,
            Self::Text(_) => PhysicalType::BYTE_ARRAY,
            Self::Whole(_) => PhysicalType::INT64,
        }
    }

    fn logical(&self) -> Option<LogicalType> {
        matches!(self, Self::Text(_)).then_some(LogicalType::String)
    }

    fn write(&self, column: SerializedColumnWriter<'_>, run: &RunSummary) -> Result<()> {
        let rows = run.rows.iter();
        match self {
            Self::Flag(of) => write::<BoolType>(column, rows.map(|row| Some(of(row)))),
            Self::Real(of) => write::<DoubleType>(column, rows.map(of)),
            Self::Text(of) => {
                let texts = rows.map(|row| of(run, row));
                let bytes = texts.map(|text| Some(ByteArray::from(text?.into_bytes())));
                write::<ByteArrayType>(column, bytes)
            }
            Self::Whole(of) => write::<Int64Type>(column, rows.map(|row| of(run, row))),
        }
    }
}

fn write<T: DataType>(
    mut column: SerializedColumnWriter<'_>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    let writer = column.typed::<T>();
    writer.write_batch(&present, Some(&levels), None)?;
    column.close()
}

fn whole(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

/// The name of a value in files.
fn name(value: &impl Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => Some(name),
        _ => None,
    }
}

/// The columns of `requests.csv`. Texts are as recorded, since no reader takes them for formulas.
const COLUMNS: &[(&str, Values)] = &[
    (
        "scenario",
        Values::Text(|run, _| Some(run.run.scenario.clone())),
    ),
    (
        "load",
        Values::Text(|run, _| Some(run.run.load.to_string())),
    ),
    (
        "batch_size",
        Values::Whole(|run, _| Some(run.run.batch_size.into())),
    ),
    ("id", Values::Whole(|_, row| whole(row.id))),
    ("side", Values::Text(|_, row| name(&row.side))),
    ("target", Values::Whole(|_, row| Some(row.target.into()))),
    ("model", Values::Whole(|_, row| Some(row.model.into()))),
    (
        "job",
        Values::Whole(|_, row| row.job.and_then(|part| whole(part.job))),
    ),
    ("phase", Values::Text(|_, row| name(&row.phase))),
    (
        "outcome",
        Values::Text(|_, row| Some(row.outcome.name().to_owned())),
    ),
    ("started", Values::Real(|row| row.started)),
    ("ended", Values::Real(|row| row.ended)),
    ("ttft", Values::Real(|row| row.ttft)),
    ("ttfo", Values::Real(|row| row.ttfo)),
    ("tpot", Values::Real(|row| row.tpot)),
    ("e2e_latency", Values::Real(|row| row.e2e_latency)),
    ("output_latency", Values::Real(|row| row.output_latency)),
    (
        "num_input_tokens",
        Values::Whole(|_, row| row.num_input_tokens.and_then(whole)),
    ),
    (
        "num_output_tokens",
        Values::Whole(|_, row| row.num_output_tokens.and_then(whole)),
    ),
    (
        "num_reasoning_tokens",
        Values::Whole(|_, row| row.num_reasoning_tokens.and_then(whole)),
    ),
    (
        "cached_input_tokens",
        Values::Whole(|_, row| row.cached_input_tokens.and_then(whole)),
    ),
    (
        "output_tokens_source",
        Values::Text(|_, row| name(&row.output_tokens_source)),
    ),
    ("dispatch_delay", Values::Real(|row| row.dispatch_delay)),
    ("dns", Values::Real(|row| row.dns)),
    ("tcp", Values::Real(|row| row.tcp)),
    ("tls", Values::Real(|row| row.tls)),
    ("send", Values::Real(|row| row.send)),
    ("wait", Values::Real(|row| row.wait)),
    ("receive", Values::Real(|row| row.receive)),
    ("queue", Values::Real(|row| row.queue)),
    ("predict", Values::Real(|row| row.predict)),
    ("cold", Values::Flag(|row| row.cold)),
    ("stalled", Values::Flag(|row| row.stalled)),
    (
        "finish_reason",
        Values::Text(|_, row| row.finish_reason.clone()),
    ),
    ("http_status", Values::Whole(|_, row| row.http_status())),
    (
        "error_message",
        Values::Text(|_, row| row.error_message.clone()),
    ),
];

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use bytes::Bytes;
    use llm_bench::Outcome;
    use llm_bench::test_util::{experiment, refused};

    use super::*;

    #[test]
    fn the_file_has_the_values_of_the_csv_file() {
        let (experiment, mut runs) = experiment();
        let message = "=1+1\u{1b}[2J";
        let mut failed = refused(40, 0, 429);
        if let Outcome::Failed(failure) = &mut failed.outcome {
            message.clone_into(&mut failure.message);
        }
        runs[1].records.push(failed);
        let results = Results::new(experiment, &runs);
        let file = Bytes::from(requests(&results).unwrap());
        let reader = SerializedFileReader::new(file).unwrap();
        let groups = reader.metadata().num_row_groups();
        assert_eq!(groups, results.runs.len());
        let expected = crate::csv::requests(&results);
        let mut expected = csv::Reader::from_reader(&expected[..]);
        let names: Vec<String> = expected
            .headers()
            .unwrap()
            .iter()
            .map(str::to_owned)
            .collect();
        let mut rows = reader.get_row_iter(None).unwrap();
        for record in expected.records() {
            let (record, row) = (record.unwrap(), rows.next().unwrap().unwrap());
            let found: Vec<(&String, &Field)> = row.get_column_iter().collect();
            assert_eq!(found.len(), names.len());
            for ((name, field), (expected_name, expected)) in
                found.into_iter().zip(names.iter().zip(&record))
            {
                assert_eq!(name, expected_name);
                let text = match field {
                    Field::Null => String::new(),
                    Field::Bool(flag) => flag.to_string(),
                    Field::Long(number) => number.to_string(),
                    // The CSV file has a point in every fraction.
                    Field::Double(number) => match expected.contains('.') {
                        true => format!("{number:?}"),
                        false => number.to_string(),
                    },
                    Field::Str(text) if text == message => {
                        assert_ne!(text, expected, "the CSV file has it escaped");
                        continue;
                    }
                    Field::Str(text) => text.clone(),
                    other => panic!("{name}: {other:?}"),
                };
                assert_eq!(text, expected, "{name}");
            }
        }
        assert!(rows.next().is_none());
    }
}
