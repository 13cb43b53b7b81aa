//! What a simulator starts with, and what it tells about itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde::Serialize;
use thiserror::Error;
use url::Url;

use super::app::AppSettings;
use super::counters::PathCount;
use super::push::{PushCount, PushSettings};
use crate::dingtalk::crypto::AesKeyError;

/// The keys of a simulated organisation and its first application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The organisation's id.
    pub corp_id: String,
    /// The application's key, also called client id.
    pub app_key: String,
    /// Its secret.
    pub app_secret: String,
    /// Signs callbacks.
    pub callback_token: String,
    /// Encrypts callbacks: 43 characters.
    pub callback_aes_key: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            corp_id: "ding5im0corp1d0000c2f4657eb6378f".to_owned(),
            app_key: "ding5imappkey000001".to_owned(),
            app_secret: "5im-secret-0000000000000000000000000000000000000000000000000000".to_owned(),
            callback_token: "5imCallbackToken".to_owned(),
            callback_aes_key: "5imCa11backAesKeyWith43CharactersInA11Abcdz".to_owned(),
        }
    }
}

/// What a simulator starts with.
#[derive(Debug, Clone)]
pub struct Options {
    /// People.
    pub users: usize,
    /// Departments, the root included.
    pub departments: usize,
    /// Decides on everything that is invented.
    pub seed: u64,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The organisation's name.
    pub organisation: String,
    /// Its keys.
    pub credentials: Credentials,
    /// Where events go at first.
    pub callback: Option<Url>,
    /// Calls a second for each application and path (`contacts-api.md §9`); 0: no limit.
    pub rate: u32,
    /// How events are pushed.
    pub push: PushSettings,
    /// What the first application may do.
    pub app: AppSettings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: 500,
            departments: 60,
            seed: 1,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            organisation: "云帆集团".to_owned(),
            credentials: Credentials::default(),
            callback: None,
            rate: 20,
            push: PushSettings::default(),
            app: AppSettings::default(),
        }
    }
}

/// Why a simulator does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The callback's AES key is not one.
    #[error("the callback's AES key is wrong: {0}")]
    AesKey(#[from] AesKeyError),
    /// The client that pushes events cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// What was counted since the start, or since it was reset.
#[derive(Debug, Clone, Serialize)]
pub struct Counters {
    /// Calls of the API by path.
    pub calls: BTreeMap<String, PathCount>,
    /// Deliveries of events.
    pub push: PushCount,
    /// Different tokens issued since the start.
    pub tokens_issued: u64,
}

/// Random changes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LifeCount {
    /// Runs under way.
    pub running: usize,
    /// Changes made.
    pub made: u64,
    /// Changes that the directory refused and others were made in place of.
    pub refused: u64,
}

/// What a simulator looks like now.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The organisation's id.
    pub corp_id: String,
    /// The organisation's name.
    pub organisation: String,
    /// How many people it has.
    pub people: usize,
    /// How many departments.
    pub departments: usize,
    /// How many roles, built-in ones included.
    pub roles: usize,
    /// How many role groups.
    pub role_groups: usize,
    /// Calls a second for each application and path.
    pub rate: u32,
    /// Where events go: the URL of the console.
    pub callback: Option<String>,
    /// The URL that was registered through the API.
    pub registered_callback: Option<String>,
    /// Events in the failed list or on their way into it.
    pub failed_events: usize,
    /// Random changes.
    pub life: LifeCount,
    /// What was counted.
    pub counters: Counters,
}
