//! A deploy's plan and its report; its steps are `deploy`'s.

use async_trait::async_trait;

use super::OperationError;
use super::work::{self, Report};
use crate::cluster::Cluster;
use crate::deploy::{DeployError, Release, Told, Work, phases as frozen};
use crate::point::Home;
use crate::run::Phase;

pub const WORD: &str = "deploy";

/// As `drydock deploy` has it.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    pub release: Release,
    pub told: Told,
    /// Only this phase.
    pub phase: Option<String>,
}

/// Puts the release where whoever resumes the run finds it, then says in which order it goes live.
pub async fn phases(home: &Home, asked: &DeployRequest) -> Result<Vec<Phase>, OperationError> {
    let staged = async {
        if let Some(phase) = asked.phase.as_ref().filter(|name| asked.release.phases.iter().all(|p| p.name != **name)) {
            return Err(DeployError::NoPhase { phase: phase.clone() });
        }
        let own = Cluster::connect(None, asked.told.context.as_deref()).await?;
        let releases = own.releases(&asked.told.namespace, home.stack.name.as_str());
        releases.stage(&asked.told.digest, &asked.release.to_bytes()).await?;
        Ok(frozen(&asked.release, &asked.told, asked.phase.as_deref()))
    };
    Ok(staged.await?)
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        vec![Report::Deploy(Box::new(self.learned()))]
    }
}
