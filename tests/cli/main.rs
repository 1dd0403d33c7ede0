//! The program as people and scripts meet it: real binary, real servers, exit codes, both standard streams.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod deaths;
mod evidence;
mod halfway;
mod heal;
mod hooks;
mod kind;
mod points;
mod refusals;
mod restores;
mod runs;
mod status;
mod stop;
mod story;
mod world;
