//! Text in columns.

/// Rows whose cells stand under each other, two spaces apart; the last cell is not padded.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    rows.iter().map(|row| align_row(row, &widths)).collect()
}

fn align_row(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_each_other() {
        let rows = [["Name:", "a"], ["Replicas:", "1"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(align(&rows), "Name:      a\nReplicas:  1\n");
    }
}
