//! Whole clusters on a seeded network, disk and clock.
