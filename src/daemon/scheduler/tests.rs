//! The loop under paused time, with real journals in a folder and runs that only take their time.

use std::sync::Mutex;

use async_trait::async_trait;

use super::super::documents::Documents;
use super::super::leader::{NotLed, Waits};
use super::super::testing::{Diary, PausedClock, at, begin, end, run_id, schedule};
use super::*;
use crate::clock::Clock;
use crate::run::{Journals, Outcome, RunError, State, Stop, Why as StopWhy};
use crate::stack::Stack;
use crate::storage::LocalStore;

const BEGAN: &str = "2026-11-24T10:00:30Z";

/// Leads runs that only take their time.
struct Fake {
    journals: Arc<dyn Journals>,
    takes: Duration,
    /// How many times nothing can be led at first.
    fails: Mutex<u32>,
    led: Mutex<Vec<(String, Timestamp)>>,
}

#[async_trait]
impl Leader for Fake {
    async fn lead(&self, wanted: &Wanted, stop: &Stop, cx: &Context, waits: Waits) -> Result<Ending, NotLed> {
        let now = cx.clock.now();
        let left = self.fails.lock().unwrap().checked_sub(1);
        if let Some(left) = left {
            *self.fails.lock().unwrap() = left;
            self.led.lock().unwrap().push(("failed".into(), now));
            return Err(NotLed { category: Category::Unavailable, message: "no store".into() });
        }
        let mut journal = match begin(&*self.journals, &wanted.run, now).await {
            Some(journal) => journal,
            None => match self.journals.open(&wanted.run).await {
                Err(RunError::Contended { .. }) => return Ok(Ending::Elsewhere { holder: "PID 7".into() }),
                other => {
                    let (entries, journal) = other.unwrap().unwrap();
                    if let Some(outcome) = State::of(&entries).unwrap().outcome {
                        return Ok(Ending::Over(outcome));
                    }
                    journal
                }
            },
        };
        waits(false);
        self.led.lock().unwrap().push((wanted.run.to_string(), now));
        let outcome = tokio::select! {
            () = tokio::time::sleep(self.takes) => Outcome::Succeeded,
            () = cx.cancel.cancelled() => match stop.why() {
                Some(StopWhy::Abandoned { .. }) => Outcome::Abandoned,
                _ => return Ok(Ending::Parked),
            },
        };
        end(&mut *journal, cx.clock.now(), outcome).await;
        Ok(Ending::Over(outcome))
    }

    async fn cancel(&self, _: &RunId, _: &str) -> Result<(), NotLed> {
        Ok(())
    }

    async fn take_up(&self, _: &Stop, _: &Context) -> Result<(), NotLed> {
        Ok(())
    }
}

struct Scene {
    diary: Diary,
    clock: Arc<PausedClock>,
    store: SharedStore,
    stack: Stack,
}

struct Daemon {
    fake: Arc<Fake>,
    board: Arc<Board>,
    leave: CancellationToken,
    at_once: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    documents: watch::Sender<InForce>,
}

impl Scene {
    async fn new() -> Self {
        let (diary, clock) = (Diary::new(), Arc::new(PausedClock::at(BEGAN)));
        let store = Arc::new(LocalStore::create(diary.path().join("store")).await.unwrap());
        let text = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  repository: \
                    {location: ./s, password: {fromEnv: P}}\n  data:\n  - {name: files, volume: {path: /srv/files}}\n";
        let stack = Stack::parse("stack.yaml".as_ref(), "/".as_ref(), text).unwrap();
        Self { diary, clock, store, stack }
    }

    fn daemon(&self, schedules: Vec<Schedule>, takes: Duration) -> Daemon {
        self.failing_daemon(schedules, takes, 0)
    }

    fn failing_daemon(&self, schedules: Vec<Schedule>, takes: Duration, fails: u32) -> Daemon {
        let journals = self.diary.journals();
        let fake = Arc::new(Fake { journals: journals.clone(), takes, fails: fails.into(), led: Mutex::default() });
        let documents = Arc::new(Documents { stack: self.stack.clone(), schedules });
        let (sender, receiver) = watch::channel(documents);
        let board = Arc::new(Board::default());
        let scheduler = Scheduler {
            documents: receiver,
            store: self.store.clone(),
            book: Book::new(journals),
            leader: fake.clone(),
            board: board.clone(),
            health: Arc::default(),
            moved: watch::channel(0).0,
            cx: Context { clock: self.clock.clone(), ..Context::default() },
            grace: Duration::from_secs(30),
        };
        let (leave, at_once) = (CancellationToken::new(), CancellationToken::new());
        let (until, now) = (leave.clone(), at_once.clone());
        let task = tokio::spawn(async move { scheduler.run(&until, &now).await });
        Daemon { fake, board, leave, at_once, task, documents: sender }
    }

    /// As if the schedule had been seen first then.
    async fn seen(&self, schedule: &Schedule, since: &str) {
        since::since(&self.store, schedule, at(since)).await.unwrap();
    }

    async fn outcomes(&self, schedule: &str) -> Vec<(String, Standing)> {
        let mut book = Book::new(self.diary.journals());
        let mut found = book.scheduled(&self.stack.name).await.unwrap();
        let mut outcomes = Vec::new();
        for listed in found.remove(&schedule.parse().unwrap()).unwrap_or_default() {
            let standing = book.standing(&listed.run).await.unwrap().unwrap();
            outcomes.push((listed.scheduled.strftime("%H:%M").to_string(), standing));
        }
        outcomes
    }
}

impl Daemon {
    /// What it led, without the day.
    fn led(&self) -> Vec<(String, String)> {
        let led = self.fake.led.lock().unwrap();
        led.iter().map(|(run, at)| (run.clone(), at.strftime("%H:%M:%S").to_string())).collect()
    }

    async fn left(self) {
        drop(self.documents); // at the word to leave its reader leaves too, and is sometimes the first
        tokio::task::yield_now().await;
        assert!(!self.task.is_finished(), "runs are to be parked");
        self.leave.cancel();
        self.task.await.unwrap();
    }
}

async fn minutes(n: u64) {
    tokio::time::sleep(Duration::from_secs(60 * n)).await;
}

fn ended(at_: &str, outcome: Outcome) -> Standing {
    Standing::Ended { at: at(at_), outcome }
}

#[tokio::test(start_paused = true)]
async fn every_instant_has_its_run_at_its_time() {
    let scene = Scene::new().await;
    let daemon = scene.daemon(vec![schedule("minutely", "* * * * *", "")], Duration::from_secs(10));
    minutes(3).await;
    let id = |minute| run_id("minutely", &format!("2026-11-24T10:{minute}:00Z")).to_string();
    let expected = [(id("01"), "10:01:00".into()), (id("02"), "10:02:00".into()), (id("03"), "10:03:00".into())];
    assert_eq!(daemon.led(), expected);
    assert_eq!(daemon.board.ended()[&("snapshot", "succeeded")], 3);
    assert_eq!(daemon.board.active().len(), 0);
    daemon.left().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_downtime_the_newest_missed_instant_runs_once() {
    let scene = Scene::new().await;
    let nightly = schedule("nightly", "15 2 * * *", "");
    scene.seen(&nightly, "2026-11-20T00:00:00Z").await;
    scene.diary.ended("nightly", "2026-11-21T02:15:00Z", Outcome::Succeeded).await;
    let daemon = scene.daemon(vec![nightly], Duration::from_secs(10));
    minutes(60).await;
    let led = daemon.led();
    assert_eq!(led, [(run_id("nightly", "2026-11-24T02:15:00Z").to_string(), "10:00:30".into())]);
    daemon.left().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_daemons_one_leads_and_the_other_follows() {
    let scene = Scene::new().await;
    let schedules = || vec![schedule("minutely", "* * * * *", "")];
    let one = scene.daemon(schedules(), Duration::from_secs(20));
    let other = scene.daemon(schedules(), Duration::from_secs(20));
    minutes(10).await;
    let mut led = [one.led(), other.led()].concat();
    led.sort();
    let expected: Vec<_> = (1..=10)
        .map(|minute| {
            let id = run_id("minutely", &format!("2026-11-24T10:{minute:02}:00Z")).to_string();
            (id, format!("10:{minute:02}:00"))
        })
        .collect();
    assert_eq!(led, expected, "every instant once, by one of them");
    one.left().await;
    other.left().await;
}

#[tokio::test(start_paused = true)]
async fn what_another_daemon_left_is_taken_up() {
    let scene = Scene::new().await;
    let nightly = schedule("nightly", "15 2 * * *", "");
    scene.seen(&nightly, "2026-11-20T00:00:00Z").await;
    scene.diary.open("nightly", "2026-11-24T02:15:00Z").await;
    let daemon = scene.daemon(vec![nightly], Duration::from_secs(10));
    minutes(1).await;
    assert_eq!(scene.outcomes("nightly").await, [("02:15".into(), ended("2026-11-24T10:00:40Z", Outcome::Succeeded))]);
    daemon.left().await;
}

#[tokio::test(start_paused = true)]
async fn replace_ends_the_former_run_and_begins_the_next() {
    let scene = Scene::new().await;
    let replaced = schedule("minutely", "* * * * *", "  concurrencyPolicy: replace\n");
    let daemon = scene.daemon(vec![replaced], Duration::from_secs(90));
    minutes(2).await;
    let outcomes = scene.outcomes("minutely").await;
    assert_eq!(outcomes[1], ("10:01".into(), ended("2026-11-24T10:02:00Z", Outcome::Abandoned)));
    assert_eq!(outcomes[0], ("10:02".into(), Standing::Open));
    daemon.left().await;
}

#[tokio::test(start_paused = true)]
async fn forbid_leaves_out_and_queue_makes_wait() {
    let scene = Scene::new().await;
    let forbid = schedule("forbid", "* * * * *", "  concurrencyPolicy: forbid\n");
    let queue = schedule("queue", "* * * * *", "  concurrencyPolicy: queue\n");
    let daemon = scene.daemon(vec![forbid, queue], Duration::from_secs(90));
    minutes(4).await;
    let begun = |name: &str| -> Vec<String> {
        daemon.led().into_iter().filter(|(run, _)| run.ends_with(name)).map(|(_, at)| at).collect()
    };
    assert_eq!(begun("forbid"), ["10:01:00", "10:03:00"], "10:02 came while the first went on");
    assert_eq!(begun("queue"), ["10:01:00", "10:02:30", "10:04:00"], "10:02 and 10:03 waited for the end");
    daemon.left().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_led_is_tried_again_later_and_later() {
    let scene = Scene::new().await;
    let daemon = scene.failing_daemon(vec![schedule("hourly", "@hourly", "")], Duration::from_secs(10), 3);
    minutes(65).await;
    let times: Vec<String> = daemon.led().into_iter().map(|(_, at)| at).collect();
    assert_eq!(times, ["11:00:00", "11:00:15", "11:00:45", "11:01:45"]);
    assert_eq!(scene.outcomes("hourly").await, [("11:00".into(), ended("2026-11-24T11:01:55Z", Outcome::Succeeded))]);
    assert_eq!(daemon.board.ended()[&("snapshot", "not-led")], 3);
    daemon.left().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_lets_a_step_end_within_the_grace_and_parks_what_is_longer() {
    for (takes, left) in [(45, ended("2026-11-24T10:01:45Z", Outcome::Succeeded)), (600, Standing::Open)] {
        let scene = Scene::new().await;
        let daemon = scene.daemon(vec![schedule("minutely", "* * * * *", "")], Duration::from_secs(takes));
        minutes(1).await; // 10:01:30
        let before = scene.clock.now();
        daemon.left().await;
        assert!(scene.clock.now().duration_since(before) <= SignedDuration::from_secs(31));
        assert_eq!(scene.outcomes("minutely").await, [("10:01".into(), left)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_word_ends_the_grace() {
    let scene = Scene::new().await;
    let daemon = scene.daemon(vec![schedule("minutely", "* * * * *", "")], Duration::from_secs(600));
    minutes(1).await;
    let before = scene.clock.now();
    daemon.at_once.cancel();
    daemon.left().await;
    assert!(scene.clock.now().duration_since(before) <= SignedDuration::from_secs(1));
    assert_eq!(scene.outcomes("minutely").await, [("10:01".into(), Standing::Open)]);
}

#[tokio::test(start_paused = true)]
async fn history_is_held_while_it_runs() {
    let scene = Scene::new().await;
    let short = schedule("minutely", "* * * * *", "  history: {successful: 2, failed: 1}\n");
    let daemon = scene.daemon(vec![short], Duration::from_secs(1));
    minutes(6).await;
    let left: Vec<String> = scene.outcomes("minutely").await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(left, ["10:06", "10:05"]);
    daemon.left().await;
}
