//! Which of several processes acts: a Kubernetes Lease, every write of which names the version that it replaces, so that of
//! two one is refused. Followers go by how long they themselves saw it unchanged, never by times that another's clock wrote.
//!
//! Own, and small: `kube` has no election, and `kube-leader-election` 0.44 patches without a version, so that two may both
//! believe to have won. Source of the rules: client-go's `tools/leaderelection`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::Cluster;

/// A Lease that nobody renewed for this long is anybody's.
const LASTS: Duration = Duration::from_secs(15);
/// Its holder stops this long before: what it has under way must come to its end.
const MARGIN: Duration = Duration::from_secs(5);
/// Two renewals may fail before the Lease is given up.
const RENEW: Duration = Duration::from_secs(3);
/// How often a follower looks.
const LOOK: Duration = Duration::from_secs(3);
/// An answer that takes longer counts as none.
const ANSWER: Duration = Duration::from_secs(4);

/// One candidate.
#[derive(Clone)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    /// Unique to this process: a container that begins anew in the same pod is another one.
    holder: String,
}

/// The Lease is ours until `lost` fires.
pub struct Leadership {
    election: Election,
    /// Fired one margin before anybody else may have it.
    pub lost: CancellationToken,
    keeper: JoinHandle<Lease>,
    stop: DropGuard,
}

impl Cluster {
    /// A candidate for the Lease `name` in `namespace`.
    #[must_use]
    pub fn election(&self, namespace: &str, name: &str, pod: &str) -> Election {
        let holder = format!("{pod}_{:08x}", rand::random::<u32>());
        Election { api: Api::namespaced(self.client.clone(), namespace), name: name.into(), holder }
    }
}

impl Election {
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Waits until the Lease is this candidate's; `turns` hears of every look. May be dropped at any time: a Lease that was
    /// won in that instant ages.
    pub async fn win(&self, turns: impl Fn() + Send + Sync + 'static) -> Leadership {
        let mut observed: Option<(Option<String>, Instant)> = None;
        loop {
            turns();
            let asked = (Instant::now(), Timestamp::now());
            match tokio::time::timeout(ANSWER, self.look(&mut observed)).await {
                Ok(Ok(Some(lease))) => {
                    let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
                    let keeper = self.clone().keep(lease, asked, lost.clone(), stop.clone(), turns);
                    let (keeper, stop) = (tokio::spawn(keeper), stop.drop_guard());
                    return Leadership { election: self.clone(), lost, keeper, stop };
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the Lease cannot be asked for"),
                Err(_) => tracing::warn!("the API server does not answer who has the Lease"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The Lease, if it is ours now.
    async fn look(&self, observed: &mut Option<(Option<String>, Instant)>) -> Result<Option<Lease>, kube::Error> {
        let Some(found) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.claim(None)) };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let version = found.metadata.resource_version.clone();
        let since = match observed {
            Some((seen, since)) if *seen == version => *since,
            _ => observed.insert((version, Instant::now())).1,
        };
        let spec = found.spec.clone().unwrap_or_default();
        if !is_free(&spec, since.elapsed()) {
            return Ok(None);
        }
        let lease = Lease { spec: Some(self.claim(Some(&spec))), ..found };
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn claim(&self, former: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(LASTS.as_secs()).expect("seconds, not centuries")),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(former.map_or(0, |former| former.lease_transitions.unwrap_or(0) + 1)),
            ..LeaseSpec::default()
        }
    }

    /// Renews until told to stop, and yields the Lease as it was written last. A machine that slept has not renewed: both clocks
    /// are looked at.
    async fn keep(
        self,
        mut lease: Lease,
        since: (Instant, Timestamp),
        lost: CancellationToken,
        stop: CancellationToken,
        turns: impl Fn(),
    ) -> Lease {
        let lasts = LASTS - MARGIN;
        let wall = SignedDuration::try_from(lasts).expect("seconds, not centuries");
        let (mut renewed, mut renewed_at) = since;
        loop {
            tokio::select! {
                () = tokio::time::sleep(RENEW.min(lasts.saturating_sub(renewed.elapsed()))) => {}
                () = stop.cancelled() => return lease,
            }
            if renewed.elapsed() >= lasts || Timestamp::now().duration_since(renewed_at) >= wall {
                tracing::error!("the Lease could not be renewed in time; all work stops");
                lost.cancel();
                return lease;
            }
            let begun = (Instant::now(), Timestamp::now());
            let limit = ANSWER.min(lasts.saturating_sub(renewed.elapsed()));
            match tokio::time::timeout(limit, self.renew(&mut lease)).await {
                Ok(Ok(true)) => {
                    turns();
                    (renewed, renewed_at) = begun;
                }
                Ok(Ok(false)) => {
                    tracing::error!("another process has the Lease; all work stops");
                    lost.cancel();
                    return lease;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be renewed yet"),
                Err(_) => tracing::warn!("the API server does not answer; the Lease could not be renewed yet"),
            }
        }
    }

    /// False when it is another's.
    async fn renew(&self, lease: &mut Lease) -> Result<bool, kube::Error> {
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match self.api.replace(&self.name, &PostParams::default(), lease).await {
            Ok(written) => *lease = written,
            // Somebody wrote it: another holder, a person who annotated it, or we, and the answer was lost.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = self.api.get(&self.name).await?;
                let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                if holder != Some(&self.holder) {
                    return Ok(false);
                }
                *lease = self
                    .api
                    .replace(&self.name, &PostParams::default(), &Lease { spec: lease.spec.clone(), ..found })
                    .await?;
            }
            // Whoever removed it has let others begin.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

impl Leadership {
    /// Gives it back, so that nobody has to wait; all work must have ended.
    pub async fn release(self) {
        drop(self.stop);
        let Ok(mut lease) = self.keeper.await else { return };
        if self.lost.is_cancelled() {
            return;
        }
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        let Election { api, name, .. } = &self.election;
        match tokio::time::timeout(ANSWER, api.replace(name, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be given back; it ages"),
            Err(_) => tracing::warn!("the Lease could not be given back; it ages"),
        }
    }
}

/// Whether nobody acts by it any more: given back, or seen unchanged for as long as it lasts.
fn is_free(spec: &LeaseSpec, unchanged: Duration) -> bool {
    let lasts =
        spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(LASTS, Duration::from_secs);
    spec.holder_identity.as_deref().is_none_or(str::is_empty) || unchanged >= lasts
}

fn won(written: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_when_it_was_given_back_or_nobody_was_seen_to_renew_it() {
        let held = |seconds| LeaseSpec {
            holder_identity: Some("drydock-0_1".into()),
            lease_duration_seconds: seconds,
            // Another's clock, years ahead: nobody goes by it.
            renew_time: Some(MicroTime("2099-01-01T00:00:00Z".parse().unwrap())),
            ..LeaseSpec::default()
        };
        assert!(!is_free(&held(Some(15)), Duration::from_secs(14)));
        assert!(is_free(&held(Some(15)), Duration::from_secs(15)));
        assert!(!is_free(&held(Some(60)), Duration::from_secs(15)), "its holder said how long it lasts");
        assert!(!is_free(&held(None), Duration::ZERO) && is_free(&held(None), LASTS));
        for given_back in [None, Some(String::new())] {
            assert!(is_free(&LeaseSpec { holder_identity: given_back, ..held(Some(15)) }, Duration::ZERO));
        }
    }

    #[test]
    fn a_holder_stops_before_a_follower_may_begin() {
        assert!(LASTS - MARGIN + ANSWER < LASTS, "an answer that is waited for ends before another may begin");
        assert!(RENEW * 3 < LASTS - MARGIN, "two renewals may fail");
    }
}
