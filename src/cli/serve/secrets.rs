//! Secrets whose files change.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::dingtalk::crypto::AesKey;
use crate::lifecycle::Pulse;
use crate::secret::Secret;

/// How often files that hold secrets are looked at.
const SECRETS_LOOK: Duration = Duration::from_secs(2);

/// Takes over secrets whose files change.
pub(super) async fn watch_secrets(secrets: Vec<(String, Secret)>, shutdown: CancellationToken, pulse: Pulse) {
    let mut unreadable = HashSet::new();
    loop {
        pulse.beat();
        tokio::select! {
            () = tokio::time::sleep(SECRETS_LOOK) => {}
            () = shutdown.cancelled() => return,
        }
        for (key, secret) in &secrets {
            let refreshed = secret.refresh();
            if refreshed.is_ok() {
                unreadable.remove(key);
            }
            match refreshed {
                Ok(false) => {}
                Ok(true) => {
                    info!(key, "a secret's file changed, and its new content is used");
                    let is_key = key.contains("aes_key");
                    if let Some(Err(error)) = is_key.then(|| secret.with(AesKey::parse)) {
                        warn!(key, %error, "the new content is no AES key; callbacks are refused until it is one");
                    }
                }
                Err(error) => {
                    if unreadable.insert(key) {
                        warn!(key, %error, "a secret's file cannot be read; the earlier content is used");
                    }
                }
            }
        }
    }
}
