//! A clock that is wrong when a point is taken.

use std::sync::Arc;

use drydock::clock::Clock;
use drydock::context::Context;
use drydock::failure::{Category, Failure};
use drydock::point::{Home, load};
use drydock::snapshot::{Options, SnapshotError, Taken, plan, prepare, snapshot};
use drydock::stack::Stack;
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// The machine's clock, off by so much.
#[derive(Debug)]
struct Off(SignedDuration);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.0
    }
}

async fn take(home: &Home, off: SignedDuration, former: Option<Timestamp>) -> Result<Taken, SnapshotError> {
    let cx = Context { clock: Arc::new(Off(off)), ..Context::default() };
    let mut plan = plan(&home.stack, &[], None)?;
    plan.former_time = former;
    snapshot(home, prepare(plan, &cx).await?, Options::default(), &cx).await
}

#[test]
fn a_date_that_would_be_wrong_for_ever_is_refused_and_an_odd_one_said() {
    let world = World::new("clock", "  data:\n  - {name: files, volume: {path: files}}\n");
    world.write("files/a", "a");
    let work = async {
        let home = Home::open(Stack::load(&world.path("stack.yaml")).unwrap()).await.unwrap();
        for off in [SignedDuration::from_hours(-24 * 365 * 50), SignedDuration::from_hours(24 * 365 * 10)] {
            let error = take(&home, off, None).await.unwrap_err();
            assert!(matches!(error, SnapshotError::Clock { .. }), "{error:?}");
            assert_eq!(error.category(), Category::Unavailable);
        }
        assert!(load(&home.repository, &home.stack.name).await.unwrap().points.is_empty());
        let now = Timestamp::now();
        let taken = take(&home, SignedDuration::ZERO, Some(now + SignedDuration::from_hours(9))).await.unwrap();
        assert!(taken.clock.unwrap().contains("a clock was wrong then or is now"));
        let taken = take(&home, SignedDuration::from_mins(5), Some(now)).await.unwrap();
        assert_eq!(taken.clock, None);
    };
    tokio::runtime::Runtime::new().unwrap().block_on(work);
}
