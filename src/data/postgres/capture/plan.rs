//! Which table is read in how many pieces, and in which order. Pure.

use crate::data::postgres::catalog::Relation;
use crate::data::postgres::manifest::Column;
use crate::data::postgres::naming::{identifier, literal};

/// A piece of about this much is read by one statement: with two readers the last one is alone for a second or so, and
/// the pieces' ends, where chunks are cut by force, are one in a hundred.
const PIECE_BYTES: u64 = 128 << 20;

/// A table, or a stretch of its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Into the list of relations.
    pub relation: usize,
    /// Of this table's.
    pub part: usize,
    /// Pages, the second exclusive; the last stretch is open, for pages that came after the size was asked.
    pub pages: Option<(u64, Option<u64>)>,
    /// Expected.
    pub bytes: u64,
}

/// The pieces of `relations` that `wanted` says, those of the largest tables first: a big one must not be the last.
pub(super) fn pieces(relations: &[Relation], wanted: impl Fn(&Relation) -> bool) -> Vec<Piece> {
    let mut tables: Vec<(usize, &Relation)> = relations.iter().enumerate().filter(|(_, r)| wanted(r)).collect();
    tables.sort_by_key(|(_, relation)| std::cmp::Reverse(relation.bytes));
    tables.into_iter().flat_map(|(index, relation)| pieces_of(index, relation)).collect()
}

fn pieces_of(index: usize, relation: &Relation) -> Vec<Piece> {
    let step = pages_a_piece(relation);
    if !relation.has_ctids || relation.condition.is_some() || relation.pages <= step + step / 2 {
        return vec![Piece { relation: index, part: 0, pages: None, bytes: relation.bytes }];
    }
    let count = relation.pages.div_ceil(step);
    let bytes = relation.bytes / count;
    let stretch = |n: u64| (n * step, (n + 1 < count).then_some((n + 1) * step));
    (0..count)
        .map(|n| Piece { relation: index, part: usize::try_from(n).unwrap_or(0), pages: Some(stretch(n)), bytes })
        .collect()
}

/// The nearest power of two, so that the next snapshot of a table that has grown cuts it at the same places and finds
/// the same chunks. TOAST counts: a page may stand for megabytes.
fn pages_a_piece(relation: &Relation) -> u64 {
    let bytes_a_page = (relation.bytes / relation.pages.max(1)).max(1);
    let pages = (PIECE_BYTES / bytes_a_page).max(1);
    1 << (pages * 4 / 3).ilog2()
}

/// The statement that reads a piece, rows in `encoding`. A plain COPY reads the table itself without its children, as
/// ONLY does.
pub(super) fn statement(relation: &Relation, piece: &Piece, encoding: &str) -> String {
    let columns: Vec<String> = relation.columns.iter().map(|c: &Column| identifier(&c.name)).collect();
    let (columns, table) = (columns.join(", "), relation.sql());
    let what = match condition(relation, piece) {
        rows if !rows.is_empty() => format!("(SELECT {columns} FROM ONLY {table} {rows})"),
        _ if columns.is_empty() => table,
        _ => format!("{table} ({columns})"),
    };
    format!("COPY {what} TO STDOUT (ENCODING {})", literal(encoding))
}

/// The condition of the rows that a piece reads; empty for a whole table.
pub(super) fn condition(relation: &Relation, piece: &Piece) -> String {
    match (&relation.condition, piece.pages) {
        (Some(condition), _) => condition.clone(),
        (None, Some((from, Some(to)))) => format!("WHERE ctid >= '({from},0)'::tid AND ctid < '({to},0)'::tid"),
        (None, Some((from, None))) => format!("WHERE ctid >= '({from},0)'::tid"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::postgres::catalog::RelationKind;
    use crate::data::postgres::manifest::Floats;

    fn table(name: &str, pages: u64, bytes: u64) -> Relation {
        Relation {
            oid: 1,
            schema: "public".into(),
            name: name.into(),
            kind: RelationKind::Table,
            columns: vec![Column { name: "a".into(), type_name: "text".into(), floats: Floats::None, identity: false }],
            extension: None,
            condition: None,
            with_oids: false,
            filled: true,
            has_ctids: true,
            load_through: None,
            bytes,
            pages,
        }
    }

    #[test]
    fn large_tables_come_first_and_are_cut_where_the_next_snapshot_cuts_too() {
        let relations = [table("small", 10, 81_920), table("large", 50_000, 50_000 * 8_192)];
        let now = pieces(&relations, |_| true);
        let stretches: Vec<_> = now.iter().map(|p| (p.relation, p.pages)).collect();
        assert_eq!(
            stretches,
            [
                (1, Some((0, Some(16_384)))),
                (1, Some((16_384, Some(32_768)))),
                (1, Some((32_768, Some(49_152)))),
                (1, Some((49_152, None))),
                (0, None)
            ]
        );
        let grown = pieces(&[table("large", 60_000, 60_000 * 8_192)], |_| true);
        assert_eq!(
            grown[..3].iter().map(|p| p.pages).collect::<Vec<_>>(),
            now[..3].iter().map(|p| p.pages).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_page_that_stands_for_megabytes_of_toast_is_a_piece() {
        let all = pieces(&[table("blobs", 64, 64 * (100 << 20))], |_| true);
        assert_eq!(all.len(), 64);
        assert_eq!(all[63].pages, Some((63, None)));
    }

    #[test]
    fn statements_read_one_table_and_no_child() {
        let mut relation = table("it\"s", 1, 1);
        let whole = Piece { relation: 0, part: 0, pages: None, bytes: 0 };
        let sql = |relation: &Relation, piece: &Piece| statement(relation, piece, "LATIN1");
        assert_eq!(sql(&relation, &whole), r#"COPY "public"."it""s" ("a") TO STDOUT (ENCODING 'LATIN1')"#);
        let part = Piece { pages: Some((8, Some(16))), ..whole.clone() };
        assert_eq!(
            sql(&relation, &part),
            r#"COPY (SELECT "a" FROM ONLY "public"."it""s" WHERE ctid >= '(8,0)'::tid AND ctid < '(16,0)'::tid) TO STDOUT (ENCODING 'LATIN1')"#
        );
        relation.columns.clear();
        assert_eq!(sql(&relation, &whole), r#"COPY "public"."it""s" TO STDOUT (ENCODING 'LATIN1')"#);
        relation.condition = Some("WHERE user_made".into());
        assert_eq!(
            sql(&relation, &whole),
            r#"COPY (SELECT  FROM ONLY "public"."it""s" WHERE user_made) TO STDOUT (ENCODING 'LATIN1')"#
        );
    }
}
