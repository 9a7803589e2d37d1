//! Real processes, real disks, real crashes: what a user of Atoll was promised, tried with the
//! binary itself. One test at a time has the machine, or several small ones have it together.
//!
//! `ATOLL_TEST_LONG=1` runs the full sizes and durations; `ATOLL_TEST_KEEP=1` keeps the folders.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

mod accessibility;
mod account_flows;
mod api;
mod asynchronous;
mod bad_input;
mod bench;
mod big_file;
mod browser;
mod coming_back;
mod data_folder;
mod demo;
mod disk_full;
mod draining;
mod drive_flows;
mod dropped;
#[path = "../../../control/tests/conformance/ensemble.rs"]
mod ensemble;
mod failover;
mod faulty_disk;
mod files;
mod https;
mod interrupted;
mod joining;
mod kept;
mod keyboard;
mod load;
mod long_folder;
mod mail_flows;
mod mouse;
mod newcomer;
mod page;
mod people;
mod previews;
mod resumed;
mod rolling;
mod s3;
mod storage_faults;
mod two_failures;
mod verify;
mod webdav;
mod zookeeper;
