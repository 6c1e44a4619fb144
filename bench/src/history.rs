//! The numbers of each run, one line of JSON a run, so that they can be followed over time.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::report::Entry;

/// Adds a line to the file.
pub(crate) fn append(path: &Path, machine: &str, quick: bool, entries: &[Entry]) -> anyhow::Result<()> {
    let opened = File::options().append(true).create(true).open(path);
    let mut file = opened.with_context(|| format!("failed to open {}", path.display()))?;
    let line = line(Timestamp::now(), machine, quick, entries);
    Ok(writeln!(file, "{line}")?)
}

fn line(date: Timestamp, machine: &str, quick: bool, entries: &[Entry]) -> Value {
    let commit = option_env!("FAAS_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    let rows: Vec<_> = entries.iter().filter_map(row).collect();
    let date = date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({ "date": date, "commit": commit, "machine": machine, "quick": quick, "rows": rows })
}

/// Nothing for what is not a number.
fn row(entry: &Entry) -> Option<Value> {
    let (number, unit) = number(&entry.value)?;
    let Entry { measure, what, beside, .. } = entry;
    Some(json!({ "measure": measure, "what": what.trim(), "number": number, "unit": unit, "beside": beside }))
}

/// `12.3 µs` is 12.3 and its unit.
fn number(value: &str) -> Option<(f64, &str)> {
    let end = value.find(|letter: char| !(letter.is_ascii_digit() || "+-.".contains(letter)));
    let (number, unit) = value.split_at(end.unwrap_or(value.len()));
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        for (value, expected) in [
            ("12.3 µs", Some((12.3, "µs"))),
            ("26422", Some((26422.0, ""))),
            ("-0.10 ms", Some((-0.1, "ms"))),
            ("skipped", None),
            ("", None),
        ] {
            assert_eq!(number(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_run_is_one_line() {
        let entry = |value: &str| Entry {
            measure: "gateway".into(),
            what: "  rate".into(),
            value: value.into(),
            beside: "1.0 × nginx".into(),
        };
        let line = line(Timestamp::UNIX_EPOCH, "m", false, &[entry("2 ms"), entry("skipped")]);
        assert_eq!(line["date"], "1970-01-01T00:00:00Z");
        let row = json!({ "measure": "gateway", "what": "rate", "number": 2.0, "unit": "ms", "beside": "1.0 × nginx" });
        assert_eq!(line["rows"], json!([row]));
        assert_eq!(line.to_string().lines().count(), 1);
    }
}
