//! `drydock evidence`, as people, scripts, auditors and browsers meet it.

mod by_hand;
mod commands;
mod page;
mod story;
