//! Watches one organisation's calls of DingTalk: counts them, and tells the operator what stops them.

use std::time::Duration;

use tracing::{error, info, warn};

use super::Metrics;
use crate::dingtalk::client::Observer;
use crate::dingtalk::endpoint::Endpoint;
use crate::dingtalk::{ApiError, Class};

/// The watch of one organisation.
#[derive(Debug, Clone)]
pub struct CallWatch {
    /// Where to count.
    pub metrics: Metrics,
    /// Whose calls.
    pub corp: String,
}

impl Observer for CallWatch {
    fn called(&self, path: &'static str, result: &'static str) {
        self.metrics.called(&self.corp, path, result);
    }

    fn throttled(&self, pause: Duration) {
        self.metrics.throttled(&self.corp, pause);
    }

    fn stopped(&self, error: &ApiError) {
        let corp = &self.corp;
        match error.class {
            Class::UnknownMethod => {
                warn!(corp, %error, "what needs this method is left out until the server knows it");
            }
            Class::Denied(_) | Class::Credentials => {
                error!(corp, %error, "calls stop until that is changed; now and then one is tried");
            }
            _ => warn!(corp, %error, "calls pause until DingTalk recovers; what is to be read waits"),
        }
    }

    fn resumed(&self, endpoint: Endpoint) {
        info!(corp = self.corp, api = endpoint.path, "calls go on");
    }
}
