//! Columns of text.

/// Pads all cells but the last of each row, so that columns stand below each other with `gap` blanks between.
pub(super) fn table(rows: &[Vec<String>], gap: usize) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let blanks = widths[column] + gap - cell.chars().count();
                text.push_str(&" ".repeat(blanks));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["A", "B", "C"], ["lang", "ü", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows, 3), "A      B   C\nlang   ü   \n");
        assert_eq!(table(&[], 1), "");
    }
}
