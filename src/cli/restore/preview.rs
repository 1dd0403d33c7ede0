//! What a restore would do, as text.

use crate::cli::human;
use crate::cli::output::Shown;
use crate::data::postgres::restore as postgres;
use crate::restore::{Action, PartPreview, Preview};
use crate::stack::ByteSize;

impl Shown for Preview {
    fn text(&self) -> String {
        let mut text = format!("recovery point {} would be restored; nothing was changed\n", self.point);
        if self.safety_point {
            text += "first a complete recovery point of what is live would be taken\n";
        }
        for hook in &self.hooks {
            text += &format!("hook {hook}\n");
        }
        for part in &self.data {
            text += &format!("{}: {} of {}, ", part.data, ByteSize(part.bytes), part.kind.as_str());
            text += &action(part);
            for note in &part.notes {
                text += &format!("  note: {note}\n");
            }
            for refusal in &part.refusals {
                text += &format!("  REFUSED: {refusal}\n");
            }
        }
        text
    }
}

fn action(part: &PartPreview) -> String {
    match &part.action {
        Action::WriteFiles { folder } => format!("{} into {folder}\n", human::count(part.items, "item")),
        Action::ExchangeFolder { folder } => {
            format!("{} exchanged with {folder}, whose former content is kept\n", human::count(part.items, "item"))
        }
        Action::Databases(preview) => databases(preview),
        Action::ReplaceKeys(preview) => format!(
            "{} into {}, which holds {}\n",
            human::count(preview.keys, "key"),
            preview.target,
            human::number(preview.replaced_keys)
        ),
    }
}

fn databases(preview: &postgres::RestorePreview) -> String {
    let mut text = format!("into {} (PostgreSQL {})\n", preview.server, preview.server_version);
    for one in &preview.databases {
        let what = match one.action {
            postgres::Action::Create => "made new".to_owned(),
            postgres::Action::Fill => "filled, it is there and empty".to_owned(),
            postgres::Action::Replace => format!(
                "swapped with the live one ({}, {}), which is kept",
                one.live_bytes.map(|n| ByteSize(n).to_string()).unwrap_or_default(),
                human::count(one.sessions, "session")
            ),
        };
        let (tables, rows) = (human::count(one.tables, "table"), human::count(one.rows, "row"));
        text += &format!("  database {}: {tables}, {rows}, {}: {what}\n", one.database, ByteSize(one.bytes));
    }
    for role in &preview.roles_missing {
        text += &format!("  role {role} would be created\n");
    }
    text
}
