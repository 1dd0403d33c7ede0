//! Can these databases be read whole and kindly? Looks at what a snapshot needs, each with what to do where it lacks.
//! Changes nothing and takes no lock.

mod database;
mod server;

use super::capture::{databases, is_superuser};
use super::connect::{Server, Session};
use super::error::PostgresError;
use super::tools::Tools;
use crate::context::Context;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::stack::PostgresSpec;

/// All findings about the data set `name`; what could not be looked at is a finding too.
pub async fn doctor(name: &str, spec: &PostgresSpec, cx: &Context) -> Vec<Finding> {
    let mut report = Report { subject: name.to_owned(), findings: Vec::new() };
    let looked = tokio::select! {
        () = cx.cancel.cancelled() => Err(PostgresError::Cancelled),
        looked = look(&mut report, spec, cx) => looked,
    };
    if let Err(error) = looked {
        report.error(&error);
    }
    report.findings
}

/// Collects what is found.
struct Report {
    subject: String,
    findings: Vec<Finding>,
}

impl Report {
    fn good(&mut self, detail: impl Into<String>) {
        self.findings.push(Finding::good(&self.subject, detail));
    }

    fn warning(&mut self, detail: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding::warning(&self.subject, detail, fix));
    }

    fn problem(&mut self, detail: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding::problem(&self.subject, detail, fix));
    }

    fn error(&mut self, error: &PostgresError) {
        let fix = error.hint().unwrap_or_else(|| "correct that and run `drydock doctor` again".into());
        self.problem(error.to_string(), fix);
    }
}

async fn look(report: &mut Report, spec: &PostgresSpec, cx: &Context) -> Result<(), PostgresError> {
    let names = databases(spec)?;
    let server = Server::new(spec)?;
    let session = server.connect(&names[0]).await?;
    // Counts free connections, so before there is another of ours: the server forgets a closed one a moment later.
    server::look(report, &session, spec, names.len(), cx).await?;
    let other = server.connect(&names[0]).await?;
    if let Err(error) = session.refuse_pooler(&other).await {
        report.error(&error);
    }
    other.close().await;
    match Tools::find(spec.client_binaries.as_deref(), session.version, &server.address()).await {
        Ok(tools) => report.good(format!("pg_dump and pg_restore {} in {}", tools.version, tools.folder.display())),
        Err(error) => report.error(&error),
    }
    session.close().await;
    for name in &names {
        match server.connect(name).await {
            Ok(session) => look_at_database(report, &session).await,
            Err(error) => report.error(&error),
        }
    }
    Ok(())
}

/// One database that cannot be looked at must not hide the others.
async fn look_at_database(report: &mut Report, session: &Session) {
    if let Err(error) = database::look(report, session).await {
        report.error(&error);
    }
}

/// Whether the role is a superuser, for whom most questions are settled.
async fn superuser(session: &Session) -> Result<bool, PostgresError> {
    is_superuser(session).await
}
