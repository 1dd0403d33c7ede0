//! What is answered to which path. Everything is answered from memory, but a run that is too old to be there.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use hyper::{Method, StatusCode, Uri};
use serde_json::json;

use super::{Answers, Reply};
use crate::clock::Clock;
use crate::daemon::board::Board;
use crate::daemon::documents::{InForce, told};
use crate::daemon::health::{Health, STALLED};
use crate::daemon::metrics::{self, Facts};
use crate::daemon::view::{Shared, View};
use crate::daemon::{Forms, page};
use crate::failure::Failure;
use crate::run::{Journals, RunId, State};
use crate::status::{RunView, status};

/// How long the store is asked for a run that is not in memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the window shows.
pub struct Window {
    pub view: Shared,
    pub documents: tokio::sync::watch::Receiver<InForce>,
    pub board: Arc<Board>,
    pub health: Arc<Health>,
    /// None before the store was opened.
    pub journals: Arc<OnceLock<Arc<dyn Journals>>>,
    pub forms: Forms,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Answers for Window {
    async fn answer(&self, method: &Method, uri: &Uri) -> Reply {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Reply::text(StatusCode::METHOD_NOT_ALLOWED, "this window is read-only: GET and HEAD");
        }
        let path = uri.path();
        match path {
            "/healthz" => self.healthz(),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            "/" => self.page(|view| page::overview(&self.shown(view))),
            "/fragment" => self.page(|view| page::fragment(&self.shown(view))),
            "/runs" => self.page(|view| page::runs(&self.shown(view))),
            "/points" => self.page(|view| page::points(&self.shown(view))),
            "/evidence" => self.evidence(),
            "/api/v1/status" => self.json(|view| pretty(&status(&view.known, self.clock.now()))),
            "/api/v1/points" => self.json(|view| (self.forms.points)(&view.known, self.clock.now())),
            "/api/v1/runs" => self.json(|view| (self.forms.runs)(&view.known, view.runs.len(), self.clock.now())),
            "/api/v1/evidence" => self.json(|view| (self.forms.evidence)(&view.evidence, self.clock.now())),
            _ => match (path.strip_prefix("/api/v1/runs/"), path.strip_prefix("/runs/")) {
                (Some(run), _) => self.run_json(run).await,
                (_, Some(run)) => self.run_page(run).await,
                _ => not_found(path),
            },
        }
    }
}

impl Window {
    fn healthz(&self) -> Reply {
        let since = self.health.last_turn().as_secs();
        if self.health.is_alive() {
            Reply::text(StatusCode::OK, format!("ok: the main loop turned {since} s ago"))
        } else {
            let text = format!("the main loop has not turned for {since} s, more than {} s", STALLED.as_secs());
            Reply::text(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }

    /// Why it is not ready; empty when it is.
    fn hindrances(&self) -> Vec<String> {
        let mut hindrances: Vec<String> = Vec::new();
        if self.board.is_leaving() {
            hindrances.push("the daemon is leaving".into());
        }
        if self.view.borrow().is_none() {
            hindrances.push("the stack was not looked at yet".into());
        }
        hindrances.extend(self.board.trouble().into_iter().map(|(part, why)| format!("{part}: {why}")));
        hindrances
    }

    fn readyz(&self) -> Reply {
        let hindrances = self.hindrances();
        if hindrances.is_empty() {
            let documents = self.documents.borrow().clone();
            let text = format!("ok: the stack {}, {} schedules", documents.stack.name, documents.schedules.len());
            Reply::text(StatusCode::OK, text)
        } else {
            Reply::text(StatusCode::SERVICE_UNAVAILABLE, hindrances.join("\n"))
        }
    }

    fn metrics(&self) -> Reply {
        let (view, documents) = (self.view.borrow().clone(), self.documents.borrow().clone());
        let facts = Facts {
            stack: &documents.stack.name,
            view: view.as_deref(),
            ended: self.board.ended(),
            reloads: self.board.reloads(),
            ready: self.hindrances().is_empty(),
            now: self.clock.now(),
        };
        let text = metrics::text(&facts);
        Reply { content_type: metrics::CONTENT_TYPE, ..Reply::text(StatusCode::OK, text) }
    }

    fn json(&self, answer: impl FnOnce(&View) -> String) -> Reply {
        match self.view.borrow().clone() {
            Some(view) => Reply::json(answer(&view)),
            None => self.not_looked_at(),
        }
    }

    fn page(&self, answer: impl FnOnce(&View) -> page::Page) -> Reply {
        match self.view.borrow().clone() {
            Some(view) => {
                let page = answer(&view);
                Reply::page(page.html, &page.nonce)
            }
            None => {
                let page = page::beginning(&self.documents.borrow().stack.name, &self.hindrances());
                Reply { status: StatusCode::SERVICE_UNAVAILABLE, ..Reply::page(page.html, &page.nonce) }
            }
        }
    }

    fn evidence(&self) -> Reply {
        match self.view.borrow().clone() {
            Some(view) => Reply::document(crate::evidence::page(&view.evidence, self.clock.now())),
            None => self.not_looked_at(),
        }
    }

    fn not_looked_at(&self) -> Reply {
        let message = self.hindrances().join("; ");
        Reply::problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &message)
    }

    fn shown<'a>(&self, view: &'a View) -> page::Shown<'a> {
        page::Shown {
            view,
            documents: self.documents.borrow().clone(),
            active: self.board.active(),
            reloads: self.board.reloads(),
            trouble: self.board.trouble(),
            leaving: self.board.is_leaving(),
            now: self.clock.now(),
        }
    }

    /// A run by its id, from memory or from its journal.
    async fn run(&self, id: &str) -> Result<RunView, Reply> {
        let missing = || Reply::problem(StatusCode::NOT_FOUND, "usage", &format!("there is no run `{id}`"));
        let run: RunId = id.parse().map_err(|_| missing())?;
        let Some(view) = self.view.borrow().clone() else { return Err(self.not_looked_at()) };
        let (leaders, ends) = (&view.known.leaders, &view.known.ends_asked);
        let judged =
            |state: &State| RunView::of(&run, state, leaders, self.clock.now()).with_end_asked_by(ends.get(&run));
        let damaged = |why: &str| Reply::problem(StatusCode::INTERNAL_SERVER_ERROR, "needs-operator", why);
        if let Some(known) = view.known.runs.iter().find(|known| known.run == run) {
            return known.state.as_ref().map(judged).map_err(|why| damaged(why));
        }
        let unavailable = |why: &str| Reply::problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why);
        let Some(journals) = self.journals.get() else { return Err(self.not_looked_at()) };
        match tokio::time::timeout(PATIENCE, journals.read(&run)).await {
            Ok(Ok(Some(entries))) => State::of(&entries).as_ref().map(judged).map_err(|why| damaged(why)),
            Ok(Ok(None)) => Err(missing()),
            Ok(Err(error)) => Err(match error.category() {
                crate::failure::Category::NeedsOperator => damaged(&told(&error)),
                _ => unavailable(&told(&error)),
            }),
            Err(_) => Err(unavailable("the store does not answer")),
        }
    }

    async fn run_json(&self, id: &str) -> Reply {
        match self.run(id).await {
            Ok(run) => Reply::json(pretty(&run)),
            Err(reply) => reply,
        }
    }

    async fn run_page(&self, id: &str) -> Reply {
        let run = match self.run(id).await {
            Ok(run) => run,
            Err(reply) => return reply,
        };
        self.page(|view| page::run(&run, &self.shown(view)))
    }
}

/// As the command line prints it.
fn pretty(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).expect("names, texts and numbers are JSON") + "\n"
}

fn not_found(path: &str) -> Reply {
    let shown: String = path.chars().take(200).collect();
    let body = json!({"category": "usage", "message": format!("there is nothing at `{shown}`")}).to_string();
    Reply { status: StatusCode::NOT_FOUND, ..Reply::json(body) }
}
