//! The apps against a store in memory ([`model`]), which fails at any call if it is told to, and against real nodes.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

mod accounts;
mod accounts_attacks;
mod accounts_leaving;
mod accounts_mail;
mod accounts_ways_in;
mod big_bucket;
mod big_folder;
mod drive_acts;
mod drive_brake;
mod drive_concurrent;
mod drive_crash;
mod drive_inside;
mod drive_jobs;
mod drive_jobs_over;
mod drive_links;
mod drive_links_folders;
mod drive_older;
mod drive_personal;
mod drive_rules;
mod drive_texts;
mod drive_thumbnails;
mod model;
mod objects;
mod objects_crash;
mod objects_lifecycle;
mod objects_lock;
mod objects_versions;
mod one_node;
mod people;
mod shared_drives;
