use std::io::Write;

use super::UsageRecord;
use super::record::COLUMNS;
use crate::{Error, ErrorKind, Result};

/// Writes usage records as CSV (RFC 4180) with a header.
///
/// Texts of clients that a spreadsheet would take for a formula get an apostrophe in front.
///
/// # Errors
/// [`ErrorKind::Internal`] with the error of `output`.
pub fn write_csv<'r>(
    records: impl IntoIterator<Item = &'r UsageRecord>,
    output: impl Write,
) -> Result<()> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(output);
    writer.write_record(COLUMNS).map_err(failed)?;
    for record in records {
        writer.write_record(fields(record)).map_err(failed)?;
    }
    writer.flush().map_err(failed)
}

/// The fields below the names of [`COLUMNS`].
fn fields(record: &UsageRecord) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| plain(text.as_deref().unwrap_or_default());
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
    [
        plain(&record.request_id),
        record.started_at.to_string(),
        record.duration_ms.to_string(),
        number(record.first_token_ms),
        plain(&record.endpoint),
        plain(&record.model_group),
        plain(&record.model),
        plain(&record.provider),
        plain(&record.deployment),
        text(&record.key_id),
        text(&record.key_alias),
        text(&record.user_id),
        text(&record.team_id),
        text(&record.end_user),
        text(&record.session_id),
        plain(&record.tags.join(" ")),
        record.input_tokens.to_string(),
        record.cached_tokens.to_string(),
        record.output_tokens.to_string(),
        record.reasoning_tokens.to_string(),
        number(record.predict_ms),
        record.cost.to_string(),
        record.outcome.name().to_owned(),
        record.is_streamed.to_string(),
        record.is_estimated.to_string(),
        record.attempts.to_string(),
        record.has_price.to_string(),
    ]
}

/// Escapes text that a spreadsheet would evaluate as a formula.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) {
        return format!("'{text}");
    }
    text.to_owned()
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "the CSV cannot be written").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn fields_are_quoted_and_formulas_are_escaped() {
        let mut record = UsageRecord::new("r,1", Timestamp::from_millis(1_763_000_000_123));
        record.end_user = Some("=HYPERLINK(\"x\")".into());
        record.cost = "0.000000060".parse().unwrap();
        let mut output = Vec::new();
        write_csv([&record], &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("request_id,started_at,"));
        assert!(
            lines[1].starts_with("\"r,1\",2025-11-13T02:13:20.123Z,0,,"),
            "{text}"
        );
        assert!(lines[1].contains("\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
        assert!(
            lines[1].contains(",0.00000006,complete,false,false,1"),
            "{text}"
        );
    }
}
