//! The power is cut during snapshot, forget and prune: a kill keeps the page cache, a power cut keeps only what was
//! fsynced. drydock's library runs on a disk that forgets ([`Forgetful`]); what is in the real folder at the cut is
//! what a machine would find when it comes up again. Judged by restic and `diff -r`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use drydock::context::Context;
use drydock::maintain::forget::{apply, plan_forget};
use drydock::point::{Home, load, owner};
use drydock::repository::forget::Policy;
use drydock::repository::prune::MaxUnused;
use drydock::repository::{KeyCost, Lock, LockKind, Repository};
use drydock::snapshot::{Options, plan, prepare, snapshot};
use drydock::stack::Stack;
use drydock::storage::{Forgetful, LocalStore};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::support::restic::Restic;
use crate::support::{Folder, run};

const PASSWORD: &str = "correct horse battery staple power";

type Anything = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_the_power_at_random_instants() {
    let (seed, cuts) = (crate::number("SEED", 1), crate::number("CUTS", 100));
    println!("SEED={seed}, {cuts} power cuts");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut world = World::new(&mut random).await;
    // How many changes and syncs a whole run is, so that the cuts fall into it.
    let mut steps = [0, 0];
    for (kind, steps) in steps.iter_mut().enumerate() {
        world.change(&mut random);
        let disk = Forgetful::new();
        world.operate(kind, LocalStore::open_on(Arc::new(disk.clone()), world.path("store")).await).await.unwrap();
        *steps = disk.steps();
    }
    let mut reached = 0;
    for cut in 0..cuts {
        let kind = usize::from(cut % 4 == 3);
        world.change(&mut random);
        let disk = Forgetful::with_writeback(random.next_u64());
        disk.cut_power_at(random.random_range(0..steps[kind]));
        let outcome = world.operate(kind, LocalStore::open_on(Arc::new(disk.clone()), world.path("store")).await).await;
        match outcome {
            Ok(()) => steps[kind] = disk.steps(),
            Err(_) => reached += 1,
        }
        disk.cut_power();
        // The process that held the lock is this one and lives, so nobody takes it for dead. That a lock of before a
        // reboot is known to be dead is held by the tests of `repository::lock::machine`.
        world.restic().run(&["unlock", "--remove-all"]);
        world.judge();
        world.operate(kind, LocalStore::open(world.path("store")).await).await.expect("the next run finishes the job");
        world.judge();
    }
    assert!(cuts == 0 || reached > cuts / 2, "only {reached} of {cuts} cuts came before the end");
    world.restic().run(&["check", "--read-data", "--no-lock"]);
}

struct World {
    folder: Folder,
    stack: Stack,
    state: u64,
    judged: std::collections::BTreeSet<String>,
}

impl World {
    async fn new(random: &mut SmallRng) -> Self {
        let folder = Folder::new("power");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("volume/many")).unwrap();
        for n in 0..60 {
            std::fs::write(path(&format!("volume/many/{n}.txt")), format!("file {n}\n").repeat(n)).unwrap();
        }
        let mut bytes = vec![0; 3 << 20];
        random.fill_bytes(&mut bytes);
        std::fs::write(path("volume/large.bin"), bytes).unwrap();
        std::fs::write(path("password"), PASSWORD).unwrap();
        let document = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {{name: power}}\nspec:\n  repository:\n    location: {}\n    \
             password: {{fromFile: {}}}\n  data:\n  - name: files\n    volume: {{path: {}}}\n  retention: {{keepLast: 2}}\n",
            path("store").display(),
            path("password").display(),
            path("volume").display()
        );
        std::fs::write(path("stack.yaml"), document).unwrap();
        let store = Arc::new(LocalStore::create(path("store")).await.unwrap());
        Repository::create(store, &PASSWORD.into(), KeyCost::negligible()).await.unwrap();
        run(Command::new(env!("CARGO_BIN_EXE_drydock")).args(["init", "-f"]).arg(path("stack.yaml")));
        let stack = Stack::load(&path("stack.yaml")).unwrap();
        Self { folder, stack, state: 0, judged: std::collections::BTreeSet::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn restic(&self) -> Restic {
        Restic::new(self.path("store/repository").to_str().unwrap(), &self.path("password"))
    }

    fn change(&mut self, random: &mut SmallRng) {
        self.state += 1;
        let n = self.state;
        let volume = self.path("volume");
        std::fs::write(volume.join("state"), n.to_string()).unwrap();
        for _ in 0..4 {
            let file = volume.join(format!("many/{}.txt", random.random_range(0..70)));
            std::fs::write(file, format!("state {n}\n").repeat(random.random_range(1..500))).unwrap();
        }
        std::fs::create_dir_all(self.path("ledger")).unwrap();
        run(Command::new("cp").arg("-a").arg(&volume).arg(self.path(&format!("ledger/{n}"))));
    }

    /// 0: a snapshot; 1: forget and prune. On a disk that may fail under it.
    async fn operate(&self, kind: usize, store: Result<LocalStore, drydock::storage::StorageError>) -> Anything {
        let store: drydock::storage::SharedStore = Arc::new(store?);
        let owner = owner(&store, &self.stack.name).await?;
        let repository = Repository::open(store.clone(), &PASSWORD.into()).await?;
        let home = Home { stack: self.stack.clone(), store, repository, owner };
        // A context of its own: a lock that is lost with the disk cancels it.
        let cx = Context::default();
        if kind == 0 { take(&home, &cx).await } else { thin_out(&home, &cx).await }
    }

    /// Every listed point brings back a state of the ledger.
    fn judge(&mut self) {
        self.restic().run(&["check", "--no-lock"]);
        let said = self.restic().run(&["snapshots", "--json", "--no-lock"]);
        let snapshots: serde_json::Value = serde_json::from_str(&said).unwrap();
        for point in crate::judge::points_among(&snapshots) {
            if !self.judged.insert(point.id.clone()) {
                continue;
            }
            let target = self.path("judged");
            std::fs::remove_dir_all(&target).ok();
            let [(_, snapshot)] = &point.members[..] else {
                panic!("point {} has {} members", point.id, point.members.len())
            };
            self.restic().run(&["restore", snapshot, "--no-lock", "--target", target.to_str().unwrap()]);
            let state = std::fs::read_to_string(target.join("files/state")).unwrap();
            crate::judge::same_folder(&target.join("files"), &self.path(&format!("ledger/{state}")));
        }
    }
}

async fn take(home: &Home, cx: &Context) -> Anything {
    let lock = home.repository.lock(LockKind::Shared, std::time::Duration::ZERO, cx).await?;
    let points = load(&home.repository, &home.stack.name).await?;
    let prepared = prepare(plan(&home.stack, &[], points.newest_complete().ok())?, cx).await?;
    let options = Options::default();
    let taken = snapshot(home, prepared, options, cx).await;
    let released = lock.release().await;
    taken?;
    Ok(released?)
}

async fn thin_out(home: &Home, cx: &Context) -> Anything {
    let policy = Policy { last: 2, ..Policy::default() };
    let work = async |lock: &Lock| -> Anything {
        let plan = plan_forget(home, &policy, cx).await?;
        apply(home, &plan, cx).await?;
        let plan = home.repository.plan_prune(lock, MaxUnused::Percent(0.0), cx).await?;
        home.repository.prune(plan, lock, cx).await?;
        Ok(())
    };
    let lock = home.repository.lock(LockKind::Exclusive, std::time::Duration::ZERO, cx).await?;
    let done = work(&lock).await;
    let released = lock.release().await;
    done?;
    Ok(released?)
}
