//! Whoever has no drydock verifies with what every machine has: the commands of `docs/evidence.md`, as they stand.

use std::path::Path;
use std::process::{Command, Output};

use super::story;
use crate::world::World;

fn by_hand(world: &World) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("bash");
    command.arg(root.join("runbooks/run")).arg("../docs/evidence");
    command.env("EVIDENCE", world.path("store/evidence")).env("PUBLIC", world.path("public.pem"));
    command.output().unwrap()
}

#[test]
fn openssl_and_python_verify_what_drydock_signed_and_find_what_was_altered() {
    let world = story::world("by-hand");
    story::tell(&world, 4);
    std::fs::write(world.path("public.pem"), world.run(&["evidence", "keys", "--pem"]).stdout).unwrap();
    let good = by_hand(&world);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{said}{}", String::from_utf8_lossy(&good.stderr));
    assert!(said.contains("4 drill shop passed") && said.contains("4 records verified"), "{said}");

    let object = world.path("store/evidence/000002.json");
    let original = std::fs::read_to_string(&object).unwrap();
    let swapped = std::fs::read(world.path("store/evidence/000003.json")).unwrap();
    let cases: [(&str, Vec<u8>); 2] =
        [("altered", original.replacen("Q", "R", 1).into_bytes()), ("in another's place", swapped)];
    for (what, bytes) in cases {
        std::fs::write(&object, bytes).unwrap();
        let bad = by_hand(&world);
        assert!(!bad.status.success(), "{what}: {}", String::from_utf8_lossy(&bad.stdout));
    }
    std::fs::remove_file(&object).unwrap();
    assert!(!by_hand(&world).status.success(), "a gap");
}
