//! The two engines, as the suites open them.

use super::Factory;
use atoll_storage::{LsmEngine, LsmOptions, MemoryEngine};
use tempfile::TempDir;

/// Engines on disk, each in a folder of its own.
pub struct OnDisk {
    pub options: LsmOptions,
    folders: Vec<TempDir>,
}

impl OnDisk {
    /// With segments and retention of so many bytes.
    pub fn new(segment_bytes: u64, log_retention_bytes: u64) -> OnDisk {
        let options =
            LsmOptions { segment_bytes, log_retention_bytes, reserve_bytes: Some(0), ..LsmOptions::default() };
        OnDisk { options, folders: Vec::new() }
    }
}

impl Factory for OnDisk {
    type Engine = LsmEngine;

    fn fresh(&mut self) -> LsmEngine {
        let folder = tempfile::tempdir().unwrap();
        let engine = LsmEngine::open(folder.path(), self.options.clone()).unwrap();
        self.folders.push(folder);
        engine
    }

    fn restart(&mut self, engine: LsmEngine) -> LsmEngine {
        let folder = engine.folder().to_path_buf();
        drop(engine);
        LsmEngine::open(&folder, self.options.clone()).unwrap()
    }
}

/// Engines in memory.
pub struct InMemory {
    pub retain: usize,
}

impl Factory for InMemory {
    type Engine = MemoryEngine;

    fn fresh(&mut self) -> MemoryEngine {
        MemoryEngine::retaining(self.retain)
    }

    fn restart(&mut self, engine: MemoryEngine) -> MemoryEngine {
        engine.reopen();
        engine
    }
}
