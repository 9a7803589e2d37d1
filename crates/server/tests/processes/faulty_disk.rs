//! A disk that fails when a test wants it to: see `faulty_disk.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, and the file that says what fails.
pub struct FaultyDisk {
    library: PathBuf,
    orders: PathBuf,
}

impl FaultyDisk {
    /// Nothing fails yet.
    pub fn new(folder: &Path) -> FaultyDisk {
        let (source, library) = (folder.join("faulty_disk.c"), folder.join("faulty_disk.so"));
        std::fs::write(&source, include_str!("faulty_disk.c")).unwrap();
        let words = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"];
        let made = Command::new("cc").args(words).arg(&library).arg(&source).arg("-ldl").status().unwrap();
        assert!(made.success(), "cc cannot make {}", library.display());
        let orders = folder.join("orders");
        std::fs::write(&orders, "").unwrap();
        FaultyDisk { library, orders }
    }

    /// Variables of the processes that are to have this disk.
    pub fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.library.clone()), ("FAULTY_DISK", self.orders.clone())]
    }

    /// From now on these fail, such as `sync /node-2/log/`; and nothing else.
    pub fn fail(&self, orders: &[&str]) {
        let fresh = self.orders.with_extension("new");
        std::fs::write(&fresh, orders.join("\n")).unwrap();
        std::fs::rename(fresh, &self.orders).unwrap();
    }
}
