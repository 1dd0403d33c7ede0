//! Aligned columns without lines, as `kubectl get` prints them.

/// Which side a column's cells lean to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows under headings; a heading that begins with `>` leans right.
#[derive(Debug)]
pub struct Table {
    headings: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    #[must_use]
    pub fn new(headings: &[&'static str]) -> Self {
        let headings = headings.iter().map(|heading| match heading.strip_prefix('>') {
            Some(heading) => (heading, Align::Right),
            None => (*heading, Align::Left),
        });
        Self { headings: headings.collect(), rows: Vec::new() }
    }

    /// Adds a row with one cell a heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The whole table; columns that are empty in every row are left out.
    #[must_use]
    pub fn text(&self) -> String {
        let cell = |row: &Vec<String>, n: usize| row.get(n).cloned().unwrap_or_default();
        let used: Vec<usize> =
            (0..self.headings.len()).filter(|n| self.rows.iter().any(|row| !cell(row, *n).is_empty())).collect();
        let width = |n: usize| {
            let cells = self.rows.iter().map(|row| cell(row, n).chars().count()).max().unwrap_or(0);
            cells.max(self.headings[n].0.chars().count())
        };
        let widths: Vec<usize> = used.iter().map(|n| width(*n)).collect();
        let mut text = String::new();
        let heading: Vec<String> = self.headings.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let cells = used.iter().zip(&widths).map(|(n, width)| {
                let (cell, width) = (cell(row, *n), *width);
                if self.headings[*n].1 == Align::Right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_empty_ones_go() {
        let mut table = Table::new(&["NAME", ">SIZE", "KEPT", "STATE"]);
        table.row(["a".into(), "1 B".into(), String::new(), "complete".into()]);
        table.row(["längste".into(), "1.20 GiB".into(), String::new(), "partial".into()]);
        assert_eq!(table.text(), "NAME         SIZE  STATE\na             1 B  complete\nlängste  1.20 GiB  partial\n");
    }
}
