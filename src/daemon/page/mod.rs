//! The status page: the one screen of `drydock status`, with what goes on now; runs, points. Rendered here as it is asked
//! for, without anything from outside; every text is escaped by the templates beside this file. Works without script;
//! with it the live part is fetched again and again.

mod overview;
mod points;
mod run;
mod runs;
mod say;

use std::collections::BTreeMap;

use askama::Template;
use jiff::Timestamp;

use super::board::Active;
use super::documents::{InForce, Reloads};
use super::view::View;
use crate::run::RunId;
use crate::stack::Name;
use crate::status::{RunView, status};

use overview::Overview;

/// Everything that a page shows.
pub struct Shown<'a> {
    pub view: &'a View,
    pub documents: InForce,
    pub active: BTreeMap<RunId, Active>,
    pub reloads: Reloads,
    pub trouble: BTreeMap<&'static str, String>,
    pub leaving: bool,
    pub now: Timestamp,
}

/// A page, and the word without which a browser takes none of its style and script.
pub struct Page {
    pub html: String,
    pub nonce: String,
}

/// What every page has.
struct Frame {
    stack: String,
    title: String,
    tool: &'static str,
    nonce: String,
    made: say::Instant,
    /// Which of the places at the top this is.
    place: &'static str,
    /// What is not as it should be with the daemon itself.
    notices: Vec<String>,
}

impl Frame {
    fn of(shown: &Shown<'_>, place: &'static str, title: &str) -> Self {
        let stack = shown.documents.stack.name.to_string();
        let mut notices = Vec::new();
        if shown.leaving {
            notices.push("The daemon is leaving: nothing begins any more.".to_owned());
        }
        if let Some(refused) = &shown.reloads.refused {
            notices
                .push(format!("The documents on disk are refused, the former ones are in force. {}", refused.reason));
        }
        notices.extend(shown.trouble.iter().map(|(part, why)| format!("The {part} cannot be asked at present: {why}")));
        let title = if title.is_empty() { stack.clone() } else { format!("{title} · {stack}") };
        Self { title, stack, tool: crate::TOOL, nonce: nonce(), made: say::Instant::of(shown.now), place, notices }
    }
}

/// Of this answer alone.
fn nonce() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

fn rendered(template: &impl Template, nonce: &str) -> Page {
    let html = template.render().expect("a template that compiled writes to a String");
    Page { html, nonce: nonce.to_owned() }
}

#[derive(Template)]
#[template(path = "daemon/page/overview.html")]
struct OverviewPage {
    frame: Frame,
    live: Overview,
}

/// `/`
#[must_use]
pub fn overview(shown: &Shown<'_>) -> Page {
    let live = Overview::of(&status(&shown.view.known, shown.now), shown);
    let page = OverviewPage { frame: Frame::of(shown, "overview", ""), live };
    rendered(&page, &page.frame.nonce)
}

#[derive(Template)]
#[template(path = "daemon/page/live.html")]
struct Fragment {
    frame: Frame,
    live: Overview,
}

/// What the script puts in place of the live part.
#[must_use]
pub fn fragment(shown: &Shown<'_>) -> Page {
    let live = Overview::of(&status(&shown.view.known, shown.now), shown);
    let page = Fragment { frame: Frame::of(shown, "overview", ""), live };
    rendered(&page, &page.frame.nonce)
}

#[derive(Template)]
#[template(path = "daemon/page/runs.html")]
struct RunsPage {
    frame: Frame,
    rows: Vec<runs::Row>,
    /// How many there are in all.
    all: String,
}

/// `/runs`
#[must_use]
pub fn runs(shown: &Shown<'_>) -> Page {
    let rows = runs::rows(shown);
    let page =
        RunsPage { frame: Frame::of(shown, "runs", "Runs"), rows, all: say::number(shown.view.runs.len() as u64) };
    rendered(&page, &page.frame.nonce)
}

#[derive(Template)]
#[template(path = "daemon/page/run.html")]
struct RunPage {
    frame: Frame,
    run: run::Detail,
}

/// `/runs/ID`
#[must_use]
pub fn run(view: &RunView, shown: &Shown<'_>) -> Page {
    let page = RunPage { frame: Frame::of(shown, "runs", view.line.run.as_str()), run: run::Detail::of(view, shown) };
    rendered(&page, &page.frame.nonce)
}

#[derive(Template)]
#[template(path = "daemon/page/points.html")]
struct PointsPage {
    frame: Frame,
    rows: Vec<points::Row>,
}

/// `/points`
#[must_use]
pub fn points(shown: &Shown<'_>) -> Page {
    let page = PointsPage { frame: Frame::of(shown, "points", "Recovery points"), rows: points::rows(shown) };
    rendered(&page, &page.frame.nonce)
}

#[derive(Template)]
#[template(path = "daemon/page/beginning.html")]
struct Beginning {
    frame: Frame,
}

/// Before the stack was looked at.
#[must_use]
pub fn beginning(stack: &Name, hindrances: &[String]) -> Page {
    let frame = Frame {
        stack: stack.to_string(),
        title: stack.to_string(),
        tool: crate::TOOL,
        nonce: nonce(),
        made: say::Instant { text: String::new(), datetime: String::new() },
        place: "overview",
        notices: hindrances.to_vec(),
    };
    let page = Beginning { frame };
    rendered(&page, &page.frame.nonce)
}
