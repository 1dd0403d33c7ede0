//! Which columns' text holds floating-point numbers: servers before 12 print them otherwise than later ones.

use std::collections::HashMap;

use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::Floats;

/// `real`, and what is known to print its numbers as `real` does (pgvector's types).
const SINGLE: [&str; 4] = ["float4", "vector", "halfvec", "sparsevec"];
/// `double precision`, and types whose text is numbers and brackets only. `cube` is contrib's, `box2d` PostGIS'.
const DOUBLE: [&str; 11] =
    ["float8", "point", "line", "lseg", "box", "path", "polygon", "circle", "cube", "box2d", "box3d"];

struct Type {
    name: String,
    /// `b`ase, `c`omposite, `d`omain, `e`num, `p`seudo, `r`ange.
    kind: String,
    base: u32,
    relation: u32,
    element: u32,
    is_array: bool,
    range_of: u32,
}

/// The types of one database, as far as floats go.
pub struct Types {
    types: HashMap<u32, Type>,
    /// Types of the columns of composite types and tables.
    attributes: HashMap<u32, Vec<u32>>,
    known: HashMap<u32, Floats>,
}

impl Types {
    pub async fn read(session: &Session) -> Result<Self, PostgresError> {
        let what = "reading the database's types";
        let sql = "SELECT t.oid, t.typname::text, t.typtype::text, t.typbasetype, t.typrelid, t.typelem, \
                   t.typcategory = 'A' AND t.typelem <> 0, coalesce(r.rngsubtype, 0::oid) \
                   FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid";
        let types = session.rows(what, sql, &[]).await?;
        let sql = "SELECT attrelid, atttypid FROM pg_catalog.pg_attribute \
                   WHERE attnum > 0 AND NOT attisdropped AND attrelid >= 16384";
        let mut attributes: HashMap<u32, Vec<u32>> = HashMap::new();
        for row in session.rows(what, sql, &[]).await? {
            attributes.entry(row.get(0)).or_default().push(row.get(1));
        }
        let types = types.iter().map(|row| {
            let found = Type {
                name: row.get(1),
                kind: row.get(2),
                base: row.get(3),
                relation: row.get(4),
                element: row.get(5),
                is_array: row.get(6),
                range_of: row.get(7),
            };
            (row.get(0), found)
        });
        Ok(Self { types: types.collect(), attributes, known: HashMap::new() })
    }

    /// Where a column of type `oid` has floats.
    pub fn floats(&mut self, oid: u32) -> Floats {
        if let Some(known) = self.known.get(&oid) {
            return *known;
        }
        self.known.insert(oid, Floats::None); // a composite may hold arrays of itself
        let floats = self.look(oid);
        self.known.insert(oid, floats);
        floats
    }

    fn look(&mut self, oid: u32) -> Floats {
        let Some(found) = self.types.get(&oid) else { return Floats::None };
        let (kind, base, relation, element, range_of) =
            (found.kind.clone(), found.base, found.relation, found.element, found.range_of);
        if found.is_array {
            return self.floats(element);
        }
        let embedded = |inner: Floats| if inner == Floats::None { Floats::None } else { Floats::Embedded };
        match kind.as_str() {
            "d" => self.floats(base),
            "r" => embedded(self.floats(range_of)),
            "c" => {
                let columns = self.attributes.get(&relation).cloned().unwrap_or_default();
                columns.into_iter().map(|c| embedded(self.floats(c))).find(|f| *f != Floats::None).unwrap_or_default()
            }
            _ if SINGLE.contains(&found.name.as_str()) => Floats::Single,
            _ if DOUBLE.contains(&found.name.as_str()) => Floats::Double,
            _ => Floats::None,
        }
    }
}
