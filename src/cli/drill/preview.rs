//! What a drill would do, as text.

use crate::cli::human;
use crate::cli::output::Shown;
use crate::cli::table::Table;
use crate::drill::Preview;
use crate::stack::ByteSize;

impl Shown for Preview {
    fn text(&self) -> String {
        let mut table = Table::new(&["DATA", ">SIZE", ">ITEMS", "RUN BY"]);
        for part in &self.data {
            table.row([
                part.data.to_string(),
                ByteSize(part.bytes).to_string(),
                human::number(part.items),
                part.server.clone().unwrap_or_else(|| "a folder".into()),
            ]);
        }
        let room = &self.room;
        let mut text = format!("recovery point {} would be restored into {}\n", self.point, self.folder.display());
        text += &table.text();
        let (needed, free) = (ByteSize(room.disk_bytes), ByteSize(room.disk_free_bytes));
        text += &format!("disk: up to {needed} of {free} that are free\n");
        let available = room.memory_available_bytes.map_or_else(|| "unknown".into(), |n| ByteSize(n).to_string());
        text += &format!("memory: about {} of {available} that can be had\n", ByteSize(room.memory_bytes));
        match self.assertions.as_slice() {
            [] => text += "assertions: none; write some as `spec.drill.assertions`\n",
            some => text += &format!("assertions: {}\n", some.join(", ")),
        }
        for what in &self.not_asked {
            text += &format!("not asked: {what}\n");
        }
        if !self.is_whole {
            text += "it would prove no recovery point: not every data set of a complete one is drilled\n";
        }
        for run in &self.kept {
            text += &format!("kept: a sandbox of {run}; remove it with: drydock drill -f FILE --remove {run}\n");
        }
        text + "nothing was made: --dry-run\n"
    }
}
