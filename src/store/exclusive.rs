//! Being alone with an embedded file.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::engine::sqlite::io_failure;
use super::error::StoreError;

/// The file that tells other processes that a daemon, or a command that does a daemon's work, has the database. The
/// operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct ExclusiveUse {
    // Held, not read: closing it releases the lock. A server is shared, and needs none.
    _file: Option<File>,
}

impl ExclusiveUse {
    pub(super) fn shared() -> Self {
        Self { _file: None }
    }

    /// Takes the lock for `holder` ("serve, process 4711"), or tells who has it.
    pub(super) fn take(database: &Path, holder: &str) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let io = |error: std::io::Error| io_failure(&path, &error);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(io)?;
                Ok(Self { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a courtesy; that it is held is the point.
                if file.rewind().and_then(|()| file.read_to_string(&mut holder)).is_err() || holder.is_empty()
                {
                    "another process".clone_into(&mut holder);
                }
                Err(StoreError::InUse { place: database.display().to_string(), holder })
            }
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
