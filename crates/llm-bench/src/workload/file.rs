//! Reads datasets from files. Errors contain the line.

use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::workload::access::Access;
use crate::workload::dataset::{Columns, DatasetConfig, DatasetRow};

pub(super) fn text(path: &Path, access: &Access) -> Result<String, Error> {
    let bytes = access.read(path, MAX_FILE)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Error::dataset(path, Some(line as u64), "invalid UTF-8")
    })
}

pub(super) fn rows(config: &DatasetConfig, access: &Access) -> Result<Vec<DatasetRow>, Error> {
    let source = &config.source;
    rows_at(
        Path::new(&source.path),
        source.file_format.as_deref(),
        config,
        access,
    )
}

/// The rows of a file; without a format, its extension decides.
pub(super) fn rows_at(
    path: &Path,
    format: Option<&str>,
    config: &DatasetConfig,
    access: &Access,
) -> Result<Vec<DatasetRow>, Error> {
    access.resolve(path)?;
    let columns = Columns::at(path, config, access);
    let read = match format_of(path, format).as_str() {
        "txt" => |path: &Path, text: &str, _: &Columns<'_>, _| Ok(lines(path, text)),
        "csv" => table,
        // Hugging Face's files of lines often end with .json, too.
        "json" => |path: &Path, text: &str, columns: &Columns<'_>, _| match text
            .trim_start()
            .starts_with('{')
        {
            true => json_lines(path, text, columns),
            false => list(path, text, columns),
        },
        "jsonl" | "ndjson" => {
            |path: &Path, text: &str, columns: &Columns<'_>, _| json_lines(path, text, columns)
        }
        _ => {
            let reason = "expected a file that ends with .txt, .csv, .json or .jsonl";
            return Err(Error::dataset(path, None, reason));
        }
    };
    let text = text(path, access)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    read(path, text, &columns, config.source.csv_column_index)
}

/// Whether the format of a file is supported.
pub(super) fn is_readable(path: &Path) -> bool {
    let format = format_of(path, None);
    ["txt", "csv", "json", "jsonl", "ndjson"].contains(&format.as_str())
        && !path
            .file_name()
            .is_some_and(|name| NOT_DATA.iter().any(|other| name == *other))
}

fn format_of(path: &Path, format: Option<&str>) -> String {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let format = format.or(ending).unwrap_or_default().to_ascii_lowercase();
    match format.as_str() {
        // The name of `load_dataset`.
        "text" => "txt".to_owned(),
        _ => format,
    }
}

fn lines(_path: &Path, text: &str) -> Vec<DatasetRow> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(DatasetRow::prompt)
        .collect()
}

fn table(
    path: &Path,
    text: &str,
    columns: &Columns<'_>,
    index: Option<usize>,
) -> Result<Vec<DatasetRow>, Error> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let broken = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        Error::dataset(path, line, format!("invalid CSV: {error}"))
    };
    let names = reader.headers().map_err(broken)?.clone();
    let only = (names.len() == 1).then(|| names[0].to_owned());
    let by_index = index.and_then(|index| names.get(index).map(str::to_owned));
    let columns = Columns {
        prompt: columns.prompt.or(by_index.as_deref()).or(only.as_deref()),
        folder: columns.folder.clone(),
        ..*columns
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map(csv::Position::line);
        let fields = names.iter().zip(&record);
        let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let row = columns.row(&Value::Object(fields.collect()));
        rows.push(row.map_err(|reason| Error::dataset(path, line, reason))?);
    }
    Ok(rows)
}

fn list(path: &Path, text: &str, columns: &Columns<'_>) -> Result<Vec<DatasetRow>, Error> {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
        let reason = format!("expected a list of strings or objects: {error}");
        Error::dataset(path, Some(error.line() as u64), reason)
    })?;
    let rows = items.into_iter().map(|item| {
        let offset = item.get().as_ptr() as usize - text.as_ptr() as usize;
        let line = 1 + text[..offset].bytes().filter(|byte| *byte == b'\n').count() as u64;
        row(path, line, item.get(), columns)
    });
    rows.collect()
}

fn json_lines(path: &Path, text: &str, columns: &Columns<'_>) -> Result<Vec<DatasetRow>, Error> {
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| row(path, number, line, columns))
        .collect()
}

fn row(path: &Path, line: u64, text: &str, columns: &Columns<'_>) -> Result<DatasetRow, Error> {
    let invalid = |reason: String| Error::dataset(path, Some(line), reason);
    let value: Value = serde_json::from_str(text)
        .map_err(|error| invalid(format!("expected a JSON string or object: {error}")))?;
    columns.row(&value).map_err(invalid)
}

/// Files of a repository that describe its data.
const NOT_DATA: [&str; 2] = ["dataset_infos.json", "dataset_info.json"];

/// The longest dataset or trace, in bytes.
const MAX_FILE: u64 = 2 << 30;
