//! Which release, and which cluster.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::deploy::{DeployError, Release, read_folder, read_stream};
use crate::stack::Stack;

#[derive(Debug, Clone, clap::Args)]
pub struct Input {
    /// The folder of rendered manifests, or `-` for a rendered stream; the Stack document's folder without it
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// The context of the kubeconfig; the current one without it
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl Input {
    /// # Errors
    /// With all that is wrong in all files.
    pub fn read(&self, stack: &Stack) -> Result<Release, DeployError> {
        let folder = match &self.release {
            Some(folder) if folder.as_os_str() == "-" => {
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.map_err(|source| DeployError::Read { path: "standard input".into(), source })?;
                return read_stream(stack, &text);
            }
            Some(folder) => folder.clone(),
            None => stack.file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")).to_owned(),
        };
        read_folder(stack, &folder)
    }
}

impl Target {
    /// # Errors
    /// When there is no way to a cluster.
    pub async fn connect(&self) -> Result<Cluster, DeployError> {
        Ok(Cluster::connect(None, self.context.as_deref()).await?)
    }
}

/// The stack's own namespace.
pub fn namespace(stack: &Stack, cluster: &Cluster) -> String {
    stack.namespace.as_ref().map_or_else(|| cluster.namespace().to_owned(), ToString::to_string)
}
