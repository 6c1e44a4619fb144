//! The table, printed row by row as it comes and kept as Markdown, and which bounds were missed.

use std::fmt::Write as _;
use std::io::Write as _;

/// One number.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    value: String,
    beside: String,
    bound: Option<Bound>,
}

/// A row as history has it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The name for `--only`.
    pub(crate) measure: String,
    pub(crate) what: String,
    pub(crate) value: String,
    pub(crate) beside: String,
}

#[derive(Debug)]
struct Bound {
    text: String,
    met: bool,
    /// Missing it fails the run.
    gates: bool,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, value: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into(), beside: String::new(), bound: None }
    }

    /// The reference, the spread, the number of rounds.
    pub(crate) fn beside(self, beside: impl Into<String>) -> Self {
        Self { beside: beside.into(), ..self }
    }

    /// A bound that fails the run when it is missed.
    pub(crate) fn gate(self, text: impl Into<String>, met: bool) -> Self {
        Self { bound: Some(Bound { text: text.into(), met, gates: true }), ..self }
    }

    /// A bound that is only stated.
    pub(crate) fn aim(self, text: impl Into<String>, met: bool) -> Self {
        Self { bound: Some(Bound { text: text.into(), met, gates: false }), ..self }
    }

    fn bound(&self) -> String {
        self.bound.as_ref().map_or_else(String::new, |bound| {
            let verdict = match (bound.met, bound.gates) {
                (true, _) => "ok",
                (false, true) => "MISSED",
                (false, false) => "not reached",
            };
            let kind = if bound.gates { "" } else { "aim " };
            format!("{kind}{}: {verdict}", bound.text)
        })
    }

    fn is_missed(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.gates && !bound.met)
    }
}

/// All rows so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    markdown: String,
    measure: String,
    section: String,
    entries: Vec<Entry>,
    missed: Vec<String>,
    skipped: Vec<String>,
    gates: usize,
}

impl Report {
    pub(crate) fn section(&mut self, measure: &str, title: &str) {
        measure.clone_into(&mut self.measure);
        title.clone_into(&mut self.section);
        print(&format!("\n{title}"));
        let _ = write!(
            self.markdown,
            "\n## {title}\n\n| what | value | beside | bound |\n| --- | --- | --- | --- |\n"
        );
    }

    pub(crate) fn add(&mut self, row: &Row) {
        let bound = row.bound();
        let line = format!("  {:<46} {:>14}   {:<52} {bound}", row.what, row.value, row.beside);
        print(line.trim_end());
        let _ = writeln!(self.markdown, "| {} | {} | {} | {bound} |", row.what, row.value, row.beside);
        let (what, value, beside) = (row.what.clone(), row.value.clone(), row.beside.clone());
        self.entries.push(Entry { measure: self.measure.clone(), what, value, beside });
        self.gates += usize::from(row.bound.as_ref().is_some_and(|bound| bound.gates));
        if row.is_missed() {
            self.missed.push(format!("{}: {}: {}; {bound}", self.section, row.what, row.value));
        }
    }

    /// Something that was not measured, and why.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        self.add(&Row::new(what, "skipped").beside(why));
        self.skipped.push(format!("{}: {what}: {why}", self.section));
    }

    /// A measure that could not be finished: as bad as a missed bound.
    pub(crate) fn fail(&mut self, why: &str) {
        let why = why.replace('\n', " ");
        print(&format!("  failed: {why}"));
        let _ = writeln!(self.markdown, "| failed | | {why} | |");
        self.missed.push(format!("{}: failed: {why}", self.section));
    }

    /// Text above the tables.
    pub(crate) fn note(&mut self, text: &str) {
        print(text);
        let _ = writeln!(self.markdown, "{text}");
    }

    /// Prints what was missed; whether nothing was.
    pub(crate) fn finish(&mut self) -> bool {
        let summary = match self.missed.as_slice() {
            [] => format!("All {} gated bounds are met.", self.gates),
            missed => format!("MISSED, of {} gated bounds:\n- {}", self.gates, missed.join("\n- ")),
        };
        let summary = match self.skipped.as_slice() {
            [] => summary,
            skipped => format!("{summary}\nNot measured:\n- {}", skipped.join("\n- ")),
        };
        let _ = write!(self.markdown, "\n## Summary\n\n{summary}\n");
        print(&format!("\n{summary}"));
        self.missed.is_empty()
    }

    pub(crate) fn markdown(&self) -> &str {
        &self.markdown
    }

    /// All rows, in their order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// A reader that left is no reason to stop: the exit code and the file remain.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gates_fail_a_run() {
        let mut report = Report::default();
        report.section("a", "A");
        report.add(&Row::new("one", "1").gate("≤ 2", true));
        report.add(&Row::new("two", "3").aim("≤ 2", false));
        assert!(report.finish());
        report.add(&Row::new("three", "3").gate("≤ 2", false));
        assert!(!report.finish());
        assert!(report.markdown().contains("A: three: 3; ≤ 2: MISSED"));
        assert_eq!((report.entries().len(), report.entries()[2].measure.as_str()), (3, "a"));
    }
}
