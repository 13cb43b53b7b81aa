//! What is registered by the older API for callbacks (`events.md §6`). Its token and key are not even read.

use serde::Deserialize;

use super::client::{Client, Parameters};
use super::endpoint;
use super::envelope::Payload;
use super::error::{ApiError, Class};
use super::lenient;
use crate::lane::Lane;

/// A registration.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Subscription {
    /// The event types.
    #[serde(default, rename = "call_back_tag", deserialize_with = "lenient::ids")]
    pub event_types: Option<Vec<String>>,
    /// Where they are pushed to.
    #[serde(default, deserialize_with = "lenient::text")]
    pub url: Option<String>,
}

impl Client {
    /// What is registered; `None` where nothing is. Metered.
    pub async fn subscription(&self, lane: Lane) -> Result<Option<Subscription>, ApiError> {
        match self.call(endpoint::SUBSCRIPTION, Payload::TopLevel, lane, Parameters::None).await {
            Ok(subscription) => Ok(Some(subscription)),
            Err(error) if error.class == Class::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }
}
