//! Whole clusters on a seeded network, disk and clock.

pub mod history;
