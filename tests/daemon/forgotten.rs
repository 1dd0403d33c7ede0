//! A drill that is cut off, and what becomes of the recovery point that it restores.

use serde_json::{Value, json};

use crate::scene::Scene;

/// Held in the middle of its assertions while there is a file `WAIT`.
const DRILL: &str = "  drill:\n    folder: ./sandboxes\n    assertions:\n    - command: {name: held, run: [sh, -c, 'while [ -e \
                     WAIT ]; do sleep 0.1; done']}\n";

fn ids(points: &Value) -> Vec<String> {
    points["points"].as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cut_off_drills_point_is_not_forgotten_and_where_it_is_gone_all_the_same_the_drill_fails_and_the_next_one_runs() {
    let scene = Scene::files("forgotten", "");
    let wait = scene.path("wait");
    scene.write_stack(&format!("{}{}", DRILL.replace("WAIT", wait.to_str().unwrap()), crate::scene::FILES));
    std::fs::create_dir(scene.path("sandboxes")).unwrap();
    scene.write("wait", "");
    scene.drydock(&["snapshot"]);
    let old = ids(&scene.json(&["points"])).remove(0);
    scene.schedule("weekly", "{drill: {}}", "@hourly", 5);
    let mut first = scene.daemon(&[]);
    let status = first.until_status("its assertions", |status| {
        status["runs"]["open"][0]["progress"]["at"].as_array().is_some_and(|at| at.iter().any(|one| one == "assert"))
    });
    let drill = status["runs"]["open"][0]["run"].as_str().unwrap().to_owned();
    first.signal("KILL");
    first.code();

    for text in ["the second", "the third"] {
        scene.write("files/a.txt", text);
        scene.drydock(&["snapshot"]);
    }
    let forgot = scene.json(&["forget", "--keep-last", "1"]);
    let fates: Vec<(&Value, &Value)> =
        forgot["points"].as_array().unwrap().iter().map(|fate| (&fate["keep"], &fate["reasons"])).collect();
    assert_eq!(
        (fates[1].0, fates[2]),
        (&json!(false), (&json!(true), &json!([format!("needed by {drill}")]))),
        "{forgot}"
    );
    let left = ids(&scene.json(&["points"]));
    assert_eq!((left.len(), &left[1]), (2, &old));

    // stock restic knows of no runs
    let shown = scene.json(&["points", "show", &old]);
    let snapshot = shown["snapshot"].as_str().unwrap_or_else(|| panic!("{shown}"));
    std::fs::remove_file(scene.path(&format!("store/repository/snapshots/{snapshot}"))).unwrap();
    std::fs::remove_file(&wait).unwrap();
    let second = scene.daemon(&[]);
    let status = second.until_status("the drill is over", |status| {
        status["runs"]["open"].as_array().unwrap().is_empty() && status["schedules"][0]["last"]["standing"] == "failed"
    });
    let weekly = &status["schedules"][0];
    assert_eq!((&weekly["last"]["run"], &weekly["now"]["decision"]), (&json!(drill), &json!("wait")), "{weekly}");
    assert!(weekly["next"].is_string(), "{weekly}");
    let failed = &scene.json(&["runs", "show", &drill])["failure"];
    let why = format!("recovery point {old}, which the drill was to restore, is not there any more");
    assert_eq!((&failed["message"], &failed["category"]), (&json!(why), &json!("usage")));
    assert!(std::fs::read_dir(scene.path("sandboxes")).unwrap().next().is_none(), "a sandbox is left");
    scene.schedule("again", "{drill: {}}", "@hourly", 5);
    let status = second.until_status("another drill", |status| !status["recoveryPoints"]["proven"].is_null());
    assert_eq!(status["drills"]["newest"][0]["outcome"], "passed", "{status}");
}
