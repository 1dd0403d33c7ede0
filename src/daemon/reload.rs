//! Reads the documents again when they change or SIGHUP says so. What is broken is refused with the reason, and the former
//! stay in force.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::documents::{Documents, Fingerprint, InForce, Refused, Sources, told};
use super::home::Door;
use super::{DaemonError, service};
use crate::clock::Clock;

/// A few small files are read this often.
const EVERY: Duration = Duration::from_secs(2);

/// Watches the documents.
pub struct Reload {
    pub sources: Sources,
    /// Of what is in force, or was refused last.
    pub seen: Fingerprint,
    pub documents: watch::Sender<InForce>,
    /// Tries a document out.
    pub door: Arc<dyn Door>,
    pub board: Arc<Board>,
    pub clock: Arc<dyn Clock>,
    /// Somebody asks for it.
    pub asked: Arc<Notify>,
}

impl Reload {
    /// Watches until `leave`.
    pub async fn run(mut self, leave: &CancellationToken) {
        // What differs counts once it stays: an editor may be at half of it.
        let mut before = self.seen;
        loop {
            let asked = tokio::select! {
                () = leave.cancelled() => return,
                () = self.asked.notified() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            let found = self.sources.fingerprint();
            if asked || (found != self.seen && found == before) {
                self.seen = found;
                service::reloading();
                self.reload(asked).await;
                service::ready();
            }
            before = found;
        }
    }

    async fn reload(&self, asked: bool) {
        match self.load(asked).await {
            Ok(documents) => {
                let (schedules, now) = (documents.schedules.len(), self.clock.now());
                tracing::info!(stack = %documents.stack.name, schedules, "the documents were read again and are in force");
                self.board.update_reloads(|reloads| {
                    reloads.loaded = Some(now);
                    reloads.refused = None;
                });
                self.documents.send_replace(Arc::new(documents));
            }
            Err(error) => {
                let reason = told(&error);
                tracing::error!(reason, "the documents are refused; the former stay in force");
                let refused = Refused { time: self.clock.now(), reason };
                self.board.update_reloads(|reloads| {
                    reloads.refused = Some(refused);
                    reloads.refusals += 1;
                });
            }
        }
    }

    /// Secrets are read again where the document has changed, or somebody asks.
    async fn load(&self, asked: bool) -> Result<Documents, DaemonError> {
        let documents = self.sources.load()?;
        let serves = self.documents.borrow().stack.clone();
        if documents.stack.name != serves.name {
            return Err(DaemonError::OtherStack { found: documents.stack.name, serves: serves.name });
        }
        // Where the data lies is what runs, journals and leases were begun beside.
        if documents.stack.spec.repository.location != serves.spec.repository.location {
            return Err(DaemonError::OtherLocation);
        }
        if asked || documents.stack != serves {
            self.door.open(&documents.stack).await?;
        }
        Ok(documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    const STACK: &str = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  repository:\n    \
                         location: ./store\n    password: {fromFile: password}\n  data:\n  - name: files\n    \
                         volume: {path: ./files}\n";
    const SCHEDULE: &str = "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {name: nightly}\nspec:\n  \
                            operation: {snapshot: {}}\n  cron: 15 2 * * *\n";

    struct Open;

    #[async_trait::async_trait]
    impl Door for Open {
        async fn open(&self, _: &crate::stack::Stack) -> Result<(), DaemonError> {
            Ok(())
        }
    }

    struct Scene {
        folder: tempfile::TempDir,
        board: Arc<Board>,
        documents: watch::Receiver<InForce>,
        leave: CancellationToken,
    }

    impl Scene {
        fn begin() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("schedules")).unwrap();
            std::fs::write(folder.path().join("stack.yaml"), STACK).unwrap();
            std::fs::write(folder.path().join("schedules/a.yaml"), SCHEDULE).unwrap();
            let sources =
                Sources { stack: folder.path().join("stack.yaml"), schedules: folder.path().join("schedules") };
            let (sender, documents) = watch::channel(Arc::new(sources.load().unwrap()));
            let (board, leave) = (Arc::new(Board::default()), CancellationToken::new());
            let reload = Reload {
                seen: sources.fingerprint(),
                sources,
                documents: sender,
                door: Arc::new(Open),
                board: board.clone(),
                clock: Arc::new(SystemClock),
                asked: Arc::default(),
            };
            let until = leave.clone();
            tokio::spawn(async move { reload.run(&until).await });
            Self { folder, board, documents, leave }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        async fn refusals(&self, n: u64) -> String {
            while self.board.reloads().refusals < n {
                tokio::time::sleep(EVERY).await;
            }
            self.board.reloads().refused.unwrap().reason
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            self.leave.cancel();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_document_is_refused_with_the_reason_until_it_is_mended() {
        let mut scene = Scene::begin();
        scene.write("schedules/a.yaml", &SCHEDULE.replace("15 2", "61 2"));
        let reason = scene.refusals(1).await;
        assert!(reason.contains("schedules/a.yaml:6") && reason.contains("61"), "{reason}");
        assert_eq!(scene.documents.borrow().schedules[0].spec.timing.cron.to_string(), "15 2 * * *");
        scene.write("schedules/a.yaml", &SCHEDULE.replace("15 2", "16 2"));
        scene.documents.changed().await.unwrap();
        assert_eq!(scene.documents.borrow().schedules[0].spec.timing.cron.to_string(), "16 2 * * *");
        let reloads = scene.board.reloads();
        assert_eq!((reloads.refused, reloads.refusals), (None, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_stays_with_its_stack_and_its_place() {
        let scene = Scene::begin();
        scene.write("stack.yaml", &STACK.replace("name: shop", "name: other"));
        assert_eq!(scene.refusals(1).await, "the document is of the stack `other`, this daemon serves `shop`");
        scene.write("stack.yaml", &STACK.replace("./store", "./elsewhere"));
        let reason = scene.refusals(2).await;
        assert_eq!(reason, "the document names another `location` than the one that this daemon serves");
        assert_eq!(scene.documents.borrow().stack.name.as_str(), "shop");
    }
}
