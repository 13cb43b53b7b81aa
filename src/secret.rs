//! Secrets that come from the configuration or from a file, and change with that file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A secret text. Clones share it: when its file changes, [`Secret::refresh`] changes all of them.
#[derive(Clone)]
pub struct Secret {
    value: Arc<RwLock<SecretString>>,
    file: Option<Arc<PathBuf>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

impl Secret {
    /// A secret that stays as it is.
    pub fn fixed(value: impl Into<String>) -> Self {
        Self { value: Arc::new(RwLock::new(SecretString::from(value.into()))), file: None }
    }

    /// A secret that is the content of a file, without the newline that editors put at its end.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        let value = Arc::new(RwLock::new(read(path)?));
        Ok(Self { value, file: Some(Arc::new(path.to_owned())) })
    }

    /// Hands the secret to `use_it`, which must not keep it.
    pub fn with<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        use_it(value.expose_secret())
    }

    /// The file that the secret is read from, if it is.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref().map(PathBuf::as_path)
    }

    /// Reads the file again. True if the secret is another one now. A file that is away for a moment, as it is while
    /// it is being replaced, is an error and changes nothing.
    pub fn refresh(&self) -> io::Result<bool> {
        let Some(path) = self.file() else { return Ok(false) };
        let fresh = read(path)?;
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let changed = fresh.expose_secret() != value.expose_secret();
        if changed {
            *value = fresh;
        }
        Ok(changed)
    }
}

/// Compares without telling by its duration where two texts differ. Their lengths are no secret.
pub fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

fn read(path: &Path) -> io::Result<SecretString> {
    let content = std::fs::read_to_string(path)?;
    let line = content.strip_suffix('\n').unwrap_or(&content);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
    }
    Ok(SecretString::from(line.to_owned()))
}
