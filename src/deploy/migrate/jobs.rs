//! The Jobs of one component: made one at a time, waited for, read.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Migrator;
use crate::cluster::{ClusterError, Health, job_id};
use crate::deploy::error::DeployError;
use crate::deploy::wait::PATIENCE;
use crate::deploy::work::{pause, stopped};
use crate::failure::{Category, Failure};
use crate::migration::gate::{Answer, State};
use crate::migration::{Wanted, jobs, kong};

/// Between two looks at a Job's pod.
const LOOK: Duration = Duration::from_millis(250);
/// For what Kubernetes does after a Job's deadline.
const AFTER: Duration = Duration::from_secs(60);
/// A Job that only looks.
const LOOKING: Duration = Duration::from_secs(180);
/// How long the Jobs of migrations are kept for people.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Whether the database's lock was free when the Job was made.
const LOCK_BEFORE: &str = "drydock.dev/lock-before";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What the image and the database say.
pub(super) struct Seen {
    pub(super) image: String,
    pub(super) answer: Answer,
}

/// Something that is run in the component's own image.
pub(super) struct Run<'a> {
    /// `up`
    pub(super) word: &'a str,
    pub(super) args: &'a [&'a str],
    /// Whether nobody held the migrations' lock before.
    pub(super) lock_was_free: bool,
}

impl Migrator<'_> {
    /// Asks image and database, in a Job that changes nothing.
    pub(super) async fn look(&self) -> Result<Seen, DeployError> {
        self.look_with(None).await
    }

    /// Has the gate do something to Kong's database before it asks.
    pub(super) async fn mend(&self, mend: &kong::Mend) -> Result<Seen, DeployError> {
        self.did.borrow_mut().push("mend".into());
        let json = serde_json::to_string(mend).expect("names and times are JSON");
        self.look_with(Some(json)).await
    }

    async fn look_with(&self, mend: Option<String>) -> Result<Seen, DeployError> {
        self.former_gone().await?;
        let step = format!("look-{}", self.component.component);
        let wanted = Wanted { deadline: LOOKING, ..self.wanted(&step) };
        let attempt = self.next_attempt(&step).await?;
        let wanted = Wanted { attempt, ..wanted };
        let mut job = jobs::look(&self.manifest.value, &wanted, self.asked()).map_err(|error| self.derived(error))?;
        job["spec"]["ttlSecondsAfterFinished"] = LOOKING.as_secs().into();
        if let Some(mend) = mend {
            let gate = job["spec"]["template"]["spec"]["containers"].as_array_mut().and_then(|all| all.last_mut());
            if let Some(args) = gate.and_then(|gate| gate["args"].as_array_mut()) {
                args.extend([json!("--mend"), json!(mend)]);
            }
        }
        let name = name_of(&job);
        let task = self.cx.progress.task(format!("ask {}", self.component.component), 0, 0);
        self.ready.acting.start_job(&job, self.namespace).await?;
        let seen = match self.end_of(&name, None, LOOKING + AFTER).await {
            Ok(pod) => self.read(&pod).await,
            Err(error) => Err(error),
        };
        task.finish();
        self.ready.acting.remove_job(&name, self.namespace).await?;
        seen
    }

    /// Runs it, then asks. What is not run to its end well is asked of by a Job of its own.
    pub(super) async fn run(&self, run: &Run<'_>) -> Result<Seen, DeployError> {
        self.former_gone().await?;
        let step = format!("migrate-{}-{}", self.component.component, run.word);
        let attempt = self.next_attempt(&step).await?;
        let wanted = Wanted { attempt, args: run.args, ..self.wanted(&step) };
        let mut job =
            jobs::migrate(&self.manifest.value, &wanted, self.asked()).map_err(|error| self.derived(error))?;
        job["spec"]["ttlSecondsAfterFinished"] = KEPT.as_secs().into();
        job["metadata"]["annotations"][LOCK_BEFORE] = if run.lock_was_free { "free" } else { "held" }.into();
        let name = name_of(&job);
        let container = jobs::migrating(&job).unwrap_or_default().to_owned();
        self.did.borrow_mut().push(run.word.to_owned());
        let task = self.cx.progress.task(format!("migrate {}: {}", self.component.component, run.word), 0, 0);
        self.ready.acting.start_job(&job, self.namespace).await?;
        let ended = self.end_of(&name, Some(&container), self.deadline() + AFTER).await;
        task.finish();
        let pod = match ended {
            Ok(pod) => pod,
            Err(error) => {
                self.give_up_unless_begun(&name, &container).await?;
                return Err(error);
            }
        };
        if pod["status"]["phase"] == "Succeeded" { self.read(&pod).await } else { self.look().await }
    }

    /// A post-condition that does not hold, with what the migration wrote last.
    pub(super) async fn not_done(&self, command: &str) -> DeployError {
        let selector = format!("{}={}", jobs::COMPONENT, self.component.component);
        let pods = self.ready.acting.jobs(&selector, self.namespace).await.unwrap_or_default();
        if let Some(job) = pods.iter().rev().find(|job| jobs::migrating(job).is_some()) {
            let id = job_id(self.namespace, &name_of(job));
            let story = self.ready.acting.story(&id, self.namespace).await;
            self.work.tell_trouble(&id, "its migration is still to be done", story);
        }
        DeployError::NotDone { component: self.component.component.clone(), command: command.to_owned() }
    }

    /// Whether the lock was taken by a Job of ours that has ended: it was free before, and was taken while that Job ran.
    /// `taken` is when, by the database's clock.
    pub(super) async fn is_abandoned(&self, lock: &kong::Lock) -> Result<bool, DeployError> {
        /// How far the database's clock may be from the cluster's.
        const SKEW: i64 = 60;
        for job in self.jobs().await? {
            let seconds = job["spec"]["activeDeadlineSeconds"].as_u64().unwrap_or_default();
            let lives = kong::lock_timeout(Duration::from_secs(seconds)).as_secs();
            let taken = lock.until.as_second() - i64::try_from(lives).unwrap_or(i64::MAX);
            let Some(started) = time(&job["status"]["startTime"]) else { continue };
            let ended = time(&job["status"]["completionTime"]).unwrap_or_else(|| self.cx.clock.now());
            let while_it_ran = started.as_second() - SKEW <= taken && taken <= ended.as_second() + SKEW;
            if has_ended(&job) && job["metadata"]["annotations"][LOCK_BEFORE] == "free" && while_it_ran {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn asked(&self) -> jobs::Asked<'_> {
        let Self { component, .. } = self;
        jobs::Asked { component: &component.component, adapter: component.adapter, image: self.image() }
    }

    async fn jobs(&self) -> Result<Vec<Value>, DeployError> {
        let selector = format!("{}={}", jobs::COMPONENT, self.component.component);
        Ok(self.ready.acting.jobs(&selector, self.namespace).await?)
    }

    /// Numbers of attempts are never used again while one is there to be confused with.
    async fn next_attempt(&self, step: &str) -> Result<u32, DeployError> {
        let run = self.work.run.as_str();
        let jobs = self.jobs().await?;
        let of_step = jobs.iter().filter(|job| {
            let said = &job["metadata"]["annotations"];
            said["drydock.dev/run"] == run && said["drydock.dev/step"] == step
        });
        let attempt = |job: &Value| job["metadata"]["labels"]["drydock.dev/attempt"].as_str()?.parse::<u32>().ok();
        Ok(of_step.filter_map(attempt).max().unwrap_or(0) + 1)
    }

    /// Two never migrate at once: whatever of this component's Jobs is at work, of this run or a former one, is waited for.
    /// One whose migration cannot begin is removed.
    async fn former_gone(&self) -> Result<(), DeployError> {
        let begun = Instant::now();
        let selector = format!("{}={}", jobs::COMPONENT, self.component.component);
        loop {
            stopped(self.cx)?;
            let at_work = self.jobs().await?.into_iter().find(|job| !has_ended(job));
            let pods = self.ready.acting.pods_with(&selector, self.namespace).await?;
            let pod = pods.iter().find(|pod| !is_over(pod));
            let who = match (&at_work, pod) {
                (None, None) => return Ok(()),
                (Some(job), _) => {
                    let name = name_of(job);
                    let id = job_id(self.namespace, &name);
                    let health = self.ready.acting.health(&id, self.namespace).await?;
                    if matches!(health, Health::Stuck { .. }) {
                        self.give_up_unless_begun(&name, jobs::migrating(job).unwrap_or_default()).await?;
                    }
                    format!("the Job {name}")
                }
                (None, Some(pod)) => format!("the pod {}", pod["metadata"]["name"].as_str().unwrap_or_default()),
            };
            if begun.elapsed() > self.deadline() + AFTER {
                return Err(DeployError::Busy { component: self.component.component.clone(), who });
            }
            pause(LOOK, self.cx).await;
        }
    }

    /// Removes a Job whose migration has not begun, and cannot: whoever comes next would wait for it.
    async fn give_up_unless_begun(&self, name: &str, container: &str) -> Result<(), DeployError> {
        let pods = self.ready.acting.pods_with(&format!("{JOB_NAME}={name}"), self.namespace).await?;
        if pods.iter().all(|pod| !has_begun(pod, container)) {
            self.ready.acting.remove_job(name, self.namespace).await?;
        }
        Ok(())
    }

    /// The Job's pod, once it is over. Meanwhile hands on what `container` writes.
    async fn end_of(&self, name: &str, container: Option<&str>, limit: Duration) -> Result<Value, DeployError> {
        let (begun, id) = (Instant::now(), job_id(self.namespace, name));
        let (mut stuck, mut unfollowed, mut looks): (Option<Instant>, _, u32) = (None, container, 0);
        loop {
            stopped(self.cx)?;
            let pods = self.ready.acting.pods_with(&format!("{JOB_NAME}={name}"), self.namespace).await;
            let pods = self.unless_away(pods)?.unwrap_or_default();
            if let Some(pod) = pods.iter().find(|pod| is_over(pod)) {
                return Ok(pod.clone());
            }
            if let (Some(pod), Some(container)) = (pods.last(), unfollowed)
                && has_begun(pod, container)
            {
                unfollowed = None;
                self.follow(pod, container).await;
                continue;
            }
            looks += 1;
            if looks.is_multiple_of(4) {
                let health = self.unless_away(self.ready.acting.health(&id, self.namespace).await)?;
                let waited = begun.elapsed();
                match health {
                    // Its deadline, which takes the pod away.
                    Some(health @ Health::Failed { .. }) if pods.is_empty() => {
                        return Err(self.work.unhealthy(self.ready, self.told, &id, &health, waited).await);
                    }
                    Some(health @ Health::Stuck { .. }) => {
                        let since = *stuck.get_or_insert_with(Instant::now);
                        if since.elapsed() >= PATIENCE {
                            return Err(self.work.unhealthy(self.ready, self.told, &id, &health, waited).await);
                        }
                    }
                    Some(health) if waited >= limit => {
                        return Err(self.work.unhealthy(self.ready, self.told, &id, &health, waited).await);
                    }
                    _ => stuck = None,
                }
            }
            pause(LOOK, self.cx).await;
        }
    }

    /// An API server that is away for a moment is asked again.
    fn unless_away<T>(&self, found: Result<T, ClusterError>) -> Result<Option<T>, DeployError> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.category() == Category::Unavailable => {
                tracing::warn!(component = self.component.component, %error, "the API server is asked again");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn follow(&self, pod: &Value, container: &str) {
        let component = self.component.component.as_str();
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        let told = |line: &str| tracing::info!(component, "{line}");
        let following = self.ready.acting.follow_log(pod, container, self.namespace, told);
        let followed = tokio::select! {
            followed = following => followed,
            () = self.cx.cancel.cancelled() => Ok(()),
        };
        if let Err(error) = followed {
            tracing::warn!(component, %error, "the migration's log is not followed any more");
        }
    }

    /// What the pod's two containers said.
    async fn read(&self, pod: &Value) -> Result<Seen, DeployError> {
        let component = self.component.component.clone();
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let log = |container: &'static str| self.ready.acting.log(name, container, self.namespace);
        let (gate, image) = (log(jobs::GATE).await?.unwrap_or_default(), log(jobs::IMAGE).await?.unwrap_or_default());
        let answer = gate.lines().rev().find_map(|line| serde_json::from_str::<Answer>(line).ok());
        let Some(answer) = answer else {
            let story = self.ready.acting.story(&job_id(self.namespace, &job_of(pod)), self.namespace).await;
            self.work.tell_trouble(&job_id(self.namespace, &job_of(pod)), "the gate gave no answer", story);
            let reason =
                format!("the gate gave no answer: {}", gate.trim().lines().last().unwrap_or("it wrote nothing"));
            let hint = Some(format!("see that {} is drydock's own image, of this version (`--image`)", self.image()));
            return Err(DeployError::Gate { component, reason, hint, may_pass: false });
        };
        if answer.state != State::Healthy {
            let reason = answer.reason.unwrap_or_default();
            let may_pass = answer.state == State::NotYet;
            return Err(DeployError::Gate { component, reason, hint: answer.hint, may_pass });
        }
        Ok(Seen { image, answer })
    }
}

fn name_of(job: &Value) -> String {
    job["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn job_of(pod: &Value) -> String {
    pod["metadata"]["labels"][JOB_NAME].as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|c| (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True")
}

fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether this container has run or is running.
fn has_begun(pod: &Value, container: &str) -> bool {
    let lists = ["initContainerStatuses", "containerStatuses"].map(|list| &pod["status"][list]);
    let mut found =
        lists.into_iter().filter_map(Value::as_array).flatten().filter(|status| status["name"] == container);
    found.any(|status| !status["state"]["running"].is_null() || !status["state"]["terminated"].is_null())
}
