//! What sequences stand at. They know no snapshots: read after the exported snapshot they may be ahead of the rows, and
//! are never behind them.

use crate::data::postgres::catalog::{Relation, RelationKind};
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::Sequence;

/// One statement asks this many: few round trips, and a plan that costs the server no memory to speak of.
const ASKED_AT_ONCE: usize = 200;

/// Every sequence of `relations`, in their order.
pub(super) async fn read(session: &Session, relations: &[Relation]) -> Result<Vec<Sequence>, PostgresError> {
    let sequences: Vec<&Relation> = relations.iter().filter(|r| r.kind == RelationKind::Sequence).collect();
    let mut all = Vec::with_capacity(sequences.len());
    for some in sequences.chunks(ASKED_AT_ONCE) {
        let queries: Vec<String> = some
            .iter()
            .enumerate()
            .map(|(n, s)| format!("SELECT {n} AS n, last_value, is_called FROM {}", s.sql()))
            .collect();
        let sql = format!("{} ORDER BY n", queries.join(" UNION ALL "));
        for (row, sequence) in session.rows("reading the sequences", &sql, &[]).await?.iter().zip(some) {
            all.push(Sequence {
                schema: sequence.schema.clone(),
                name: sequence.name.clone(),
                last_value: row.get(1),
                is_called: row.get(2),
            });
        }
    }
    Ok(all)
}
