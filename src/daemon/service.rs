//! What systemd is told over `$NOTIFY_SOCKET` (sd_notify(3)), where there is one. Refuses to fail: a manager that does not
//! listen is no reason to stop.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::health::Health;

/// The daemon serves.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The documents are being read again; [`ready`] follows. systemd 253 wants the time with it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
    }
}

/// The daemon leaves, and may take `grace` for it beyond what the unit allows.
pub fn stopping(grace: Duration) {
    let usec = u32::try_from(grace.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(usec)]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Tells the watchdog that the main loop turns, as long as it does, until `gone`. Without a watchdog it only waits.
pub async fn watchdog(health: Arc<Health>, gone: &CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return gone.cancelled().await };
    // Half of what it allows, as sd_watchdog_enabled(3) recommends.
    let every = (limit / 2).max(Duration::from_millis(10));
    loop {
        if health.is_alive() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(
                since_seconds = health.last_turn().as_secs(),
                "the main loop hangs; the watchdog is not told"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = gone.cancelled() => return,
        }
    }
}

/// Sent from a thread of its own, in order: a manager that does not read would hold whoever writes to it.
fn tell(states: &[NotifyState]) {
    static WRITER: OnceLock<Option<SyncSender<String>>> = OnceLock::new();
    let Some(writer) = WRITER.get_or_init(start) else { return };
    let text = states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    if writer.try_send(text).is_err() {
        tracing::debug!("the service manager does not read what it is told");
    }
}

/// None where there is nobody to tell.
fn start() -> Option<SyncSender<String>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (sender, texts) = sync_channel::<String>(32);
    let write = move || {
        for text in texts {
            if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&text)]) {
                tracing::debug!(%error, "the service manager cannot be told");
            }
        }
    };
    std::thread::Builder::new().name("sd_notify".into()).spawn(write).ok()?;
    Some(sender)
}
