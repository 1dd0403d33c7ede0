//! `make crash SEED=… N=…`: kill -9 at random instants during snapshot, prune and restore.
//!
//! After every kill no recovery point is listed that does not bring back what was there, and the next run finishes the
//! job. The judge is not drydock: restic, pg_restore and psql, pg_dump, redis-server and DEBUG DIGEST, `diff -r`, the
//! list of processes and the folder of temporary files.

#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod judge;
mod matrix;
mod operation;
mod power;
mod world;

use operation::{Outcome, Pace};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Stacks beside each other: most of a run's time is waiting for servers and disks, not computing.
const WORLDS: u64 = 4;

#[test]
fn kill_at_random_instants() {
    let (seed, kills) = (number("SEED", 1), number("N", 200));
    println!("SEED={seed} N={kills}");
    std::thread::scope(|scope| {
        for world in 0..WORLDS {
            let share = kills / WORLDS + u64::from(world < kills % WORLDS);
            // Each has a stream of its own that SEED alone decides.
            scope.spawn(move || kill_in_one_world(world, seed.wrapping_mul(WORLDS).wrapping_add(world), share));
        }
    });
}

fn kill_in_one_world(name: u64, seed: u64, kills: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut world = World::new(&mut random);
    let mut pace = Pace::default();
    let mut killed = 0;
    while killed < kills {
        let operation = world.next_operation(&mut random);
        let delay = pace.delay(&operation, &mut random);
        match world.run_and_kill(&operation, delay) {
            Outcome::Killed => killed += 1,
            Outcome::Finished(took) => pace.note(&operation, took),
        }
        judge::repository_is_sound(&world);
        judge::listed_points_are_whole(&mut world);
        let took = world.finish(&operation);
        pace.note(&operation, took);
        judge::listed_points_are_whole(&mut world);
        judge::nothing_is_left_behind(&world);
        if killed.is_multiple_of(10) {
            println!("world {name}: {killed} killed, {} points judged, at {operation:?}", world.judged.len());
        }
    }
    judge::every_byte_is_sound(&world);
    judge::listed_points_are_whole(&mut world);
    assert!(kills == 0 || !world.judged.is_empty(), "no recovery point was ever judged");
}
