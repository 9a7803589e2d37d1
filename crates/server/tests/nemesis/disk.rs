//! A node's disk: a small file system, which can be full, and can die with all that was not synced.

use crate::sandbox::{is_root, run};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SIZE: u64 = 640 << 20;

/// A node's disk, mounted on a folder.
pub struct Disk {
    folder: PathBuf,
    /// The file that is its block device; none where only root may have one, and it is in memory.
    image: Option<PathBuf>,
    /// Somebody else's file is to take every byte.
    full: bool,
}

impl Disk {
    /// Made and mounted.
    pub fn new(work: &Path, node: u16) -> Result<Disk, String> {
        let folder = work.join(format!("node-{node}"));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let image = is_root().then(|| work.join(format!("disk-{node}.img")));
        let disk = Disk { folder, image, full: false };
        disk.format()?;
        Ok(disk)
    }

    fn format(&self) -> Result<(), String> {
        if let Some(image) = &self.image {
            File::create(image).and_then(|file| file.set_len(SIZE)).map_err(|error| error.to_string())?;
            run("mkfs.ext4", &["-q", "-F", "-m", "0", &image.to_string_lossy()])?;
        }
        self.mount()
    }

    fn mount(&self) -> Result<(), String> {
        let folder = self.folder.to_string_lossy();
        match &self.image {
            Some(image) => run("mount", &["-t", "ext4", "-o", "loop", &image.to_string_lossy(), &folder]),
            None => run("mount", &["-t", "tmpfs", "-o", &format!("size={SIZE}"), "none", &folder]),
        }
    }

    fn unmount(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            // What a dead process held may be held for a moment longer.
            match run("umount", &[&self.folder.to_string_lossy()]) {
                Err(_) if begun.elapsed() < Duration::from_secs(10) => std::thread::sleep(Duration::from_millis(50)),
                done => return done,
            }
        }
    }

    /// Where the node's data goes.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Nothing is written or read any more, and what was not synced never was. False where that cannot be done.
    pub fn die(&self) -> Result<bool, String> {
        if self.image.is_none() {
            return Ok(false);
        }
        /// `EXT4_IOC_SHUTDOWN`, and its flag not to write the journal first.
        const SHUTDOWN: nix::libc::Ioctl = 0x8004_587d_u32 as nix::libc::Ioctl;
        const NO_LOG_FLUSH: u32 = 2;
        let folder = File::open(&self.folder).map_err(|error| error.to_string())?;
        // SAFETY: the kernel reads one u32 behind the pointer, which outlives the call.
        #[allow(unsafe_code)] // There is no other way to pull a file system's plug.
        let done = unsafe { nix::libc::ioctl(folder.as_raw_fd(), SHUTDOWN, &NO_LOG_FLUSH as *const u32) };
        if done == 0 { Ok(true) } else { Err(format!("ending a disk: {}", std::io::Error::last_os_error())) }
    }

    /// A disk that died comes back, with what it has. No process may use it.
    pub fn revive(&self) -> Result<(), String> {
        if self.image.is_some() {
            self.unmount()?;
            self.mount()?;
        }
        // A file that was removed, and not for good, is there again.
        if !self.full {
            let _was_not_filled = std::fs::remove_file(self.filler());
        }
        Ok(())
    }

    /// An empty one in its place. No process may use it.
    pub fn replace(&mut self) -> Result<(), String> {
        self.full = false;
        self.unmount()?;
        self.format()
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Somebody else's file takes every byte.
    pub fn fill(&mut self) {
        self.full = true;
        let Ok(mut file) = File::create(self.filler()) else { return };
        let (large, small) = (vec![0; 1 << 20], vec![0; 4096]);
        while file.write_all(&large).is_ok() {}
        while file.write_all(&small).is_ok() {}
    }

    /// There is room again.
    pub fn make_room(&mut self) {
        self.full = false;
        let _was_not_filled = std::fs::remove_file(self.filler());
    }
}
