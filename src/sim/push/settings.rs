//! How events are pushed: every way that is documented or was seen (`events.md §2`, `§9`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::sim::events::{DiffInfo, FailedShape, Shape};

/// Which key stands at the end of a message (`events.md §3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The application's key: events ticked in the console.
    AppKey,
    /// The organisation's id: callbacks registered through the API.
    CorpId,
}

/// What the signature's query parameter is called (`events.md §2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureParameter {
    /// `signature`.
    Signature,
    /// `msg_signature`.
    MsgSignature,
    /// Both, with equal values.
    Both,
    /// Any of the three, drawn for each push.
    Mixed,
}

/// What the time's query parameter is called (`events.md §2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimestampParameter {
    /// `timestamp`.
    #[serde(rename = "timestamp")]
    Lower,
    /// `timeStamp`.
    #[serde(rename = "timeStamp")]
    Camel,
    /// Either, drawn for each push.
    #[serde(rename = "mixed")]
    Mixed,
}

/// How events are pushed. All of it can be changed while the simulator runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushSettings {
    /// The form of the messages.
    pub shape: Shape,
    /// The part of the lists of one id that are sent as the id itself, 0 to 1.
    pub scalar_share: f64,
    /// Whether `user_modify_org` says what changed.
    pub diff_info: DiffInfo,
    /// The key at the end of messages to the URL of the console.
    pub owner: Owner,
    /// The name of the signature.
    pub signature: SignatureParameter,
    /// The name of the time.
    pub timestamp: TimestampParameter,
    /// Content types, one of which is drawn for each push; an empty one leaves the header out.
    pub content_types: Vec<String>,
    /// Waits before the second, third, … attempt, milliseconds (`events.md §5`: 10 s and 30 s).
    pub retry_after_ms: Vec<u64>,
    /// How long an answer may take, milliseconds (`events.md §2.1`).
    pub answer_deadline_ms: u64,
    /// How long after its last attempt an event appears in the failed list, milliseconds (`events.md §5`: 3 to 5
    /// minutes).
    pub failed_list_delay_ms: u64,
    /// The form of that list.
    pub failed_shape: FailedShape,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            shape: Shape::Wire,
            scalar_share: 0.0,
            diff_info: DiffInfo::Absent,
            owner: Owner::AppKey,
            signature: SignatureParameter::Both,
            timestamp: TimestampParameter::Lower,
            content_types: vec!["application/json".to_owned()],
            retry_after_ms: vec![10_000, 30_000],
            answer_deadline_ms: 1_500,
            failed_list_delay_ms: 180_000,
            failed_shape: FailedShape::Nested,
        }
    }
}

/// Who subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The application, in the console.
    Console,
    /// The organisation, through the API.
    Registered,
}

/// Where events go, with the keys of that place.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) url: url::Url,
    pub(crate) token: String,
    pub(crate) aes_key_text: String,
    pub(crate) aes_key: crate::dingtalk::crypto::AesKey,
    /// The event types; all, without it.
    pub(crate) tags: Option<BTreeSet<String>>,
    /// `None`: as the settings say.
    pub(crate) owner: Option<Owner>,
}
