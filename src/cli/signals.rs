//! Ctrl-C, SIGTERM, SIGHUP and `--timeout`: the first asks the work to stop, a second signal ends the process at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::screen::Screen;
use crate::failure::Category;

/// Why the work was told to stop, once it was.
#[derive(Debug, Clone, Default)]
pub struct StopReason(Arc<OnceLock<String>>);

impl StopReason {
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// Watches from now on; fires `cancel` at most once and says why in the [`StopReason`].
///
/// # Errors
/// When the process cannot be told of signals.
pub fn watch(cancel: &CancellationToken, timeout: Option<Duration>, screen: &Screen) -> std::io::Result<StopReason> {
    let reason = StopReason::default();
    let kinds = [
        (SignalKind::interrupt(), "stopped by Ctrl-C"),
        (SignalKind::terminate(), "stopped by SIGTERM"),
        (SignalKind::hangup(), "stopped by SIGHUP"),
    ];
    for (kind, text) in kinds {
        let mut signals = signal(kind)?;
        let (reason, cancel, screen) = (reason.clone(), cancel.clone(), screen.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if cancel.is_cancelled() {
                    screen.line("ended at once; a lock that is left ages or goes with `drydock unlock`");
                    std::process::exit(i32::from(Category::Interrupted.exit_code()));
                }
                reason.0.get_or_init(|| text.to_owned());
                screen.line("stopping: locks are released, nothing half-done is listed (once more ends at once)");
                cancel.cancel();
            }
        });
    }
    if let Some(timeout) = timeout {
        let (reason, cancel) = (reason.clone(), cancel.clone());
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            let text = format!("stopped by --timeout {}", crate::stack::duration::human(timeout));
            reason.0.get_or_init(|| text);
            cancel.cancel();
        });
    }
    Ok(reason)
}
