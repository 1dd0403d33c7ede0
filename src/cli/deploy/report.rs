//! What a deploy prints when it is over, however that was.

use serde::Serialize;

use crate::cli::{human, output};
use crate::deploy::Deployed;

#[derive(Serialize)]
#[serde(transparent)]
pub struct Shown(pub Deployed);

impl output::Shown for Shown {
    fn text(&self) -> String {
        let deployed = &self.0;
        let mut text = String::new();
        for phase in &deployed.phases {
            let took =
                phase.took_ms.map_or_else(|| "not healthy".to_owned(), |ms| format!("healthy after {}", seconds(ms)));
            text += &format!(
                "{}: {} created, {} changed, {} unchanged; {took}\n",
                phase.name, phase.created, phase.changed, phase.unchanged
            );
        }
        for done in &deployed.migrations {
            let did = if done.did.is_empty() { "nothing to migrate".to_owned() } else { done.did.join(", ") };
            text += &format!("{} {}: {did}, {}\n", done.component, done.version, seconds(done.took_ms));
        }
        for object in &deployed.pruned {
            text += &format!("removed: {object}\n");
        }
        for object in &deployed.left {
            text += &format!("left the release and is still there: {object}\n");
        }
        for trouble in &deployed.troubles {
            text += &format!("{}: {}\n", trouble.object, trouble.why);
            for event in &trouble.story.events {
                text += &format!("  event: {event}\n");
            }
            for (container, log) in &trouble.story.logs {
                text += &format!("  log of {container}:\n");
                for line in log.lines() {
                    text += &format!("    {line}\n");
                }
            }
        }
        if let Some(release) = &deployed.release {
            let objects = human::count(release.objects as u64, "object");
            text += &format!("release {} is live: {objects}, {}\n", release.number, &release.digest[..16]);
        }
        text
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
