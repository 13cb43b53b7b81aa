//! One event on its way to one URL.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::reply::{PushFailure, check};
use super::{Channel, Owner, Pusher, SignatureParameter, Subscription, TimestampParameter};
use crate::dingtalk::crypto::{encrypt, signature};
use crate::sim::events::{Event, Rendering, Shape};
use crate::sim::sync::lock;

/// One event on its way. Its message and the form of its requests stay the same in every attempt; only the
/// encryption and the nonce are new each time.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    channel: Channel,
    subscription: Subscription,
    event: Arc<Event>,
    message: String,
    envelope: Envelope,
}

#[derive(Debug, Clone)]
struct Envelope {
    owner: String,
    signature: SignatureParameter,
    timestamp: TimestampParameter,
    content_type: String,
    /// The event's time rather than the attempt's (`events.md §2`).
    time: String,
}

impl Delivery {
    pub(super) fn new(
        pusher: &Pusher,
        channel: Channel,
        subscription: Subscription,
        event: &Arc<Event>,
    ) -> Self {
        let settings = pusher.settings();
        let dice = &pusher.0.dice;
        let documented = match settings.shape {
            Shape::Wire => false,
            Shape::Documented => true,
            Shape::Mixed => dice.chance(0.5),
        };
        let message = event.render(&Rendering {
            documented,
            scalar: dice.chance(settings.scalar_share),
            diff_info: settings.diff_info,
            corp_id: &pusher.0.corp_id,
            event_id: &dice.hex(32),
        });
        let envelope = Envelope::draw(pusher, &subscription, event.at);
        Self { channel, subscription, event: Arc::clone(event), message, envelope }
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Sends it to another place, or with other keys. Attempts under way keep those that they began with
    /// (`events.md §10`).
    pub(super) fn redirect(&mut self, pusher: &Pusher, subscription: Subscription) {
        self.envelope = Envelope::draw(pusher, &subscription, self.event.at);
        self.subscription = subscription;
    }

    pub(super) fn event(&self) -> &Event {
        &self.event
    }

    /// Tries until it is acknowledged or no attempt is left; then the delivery comes back.
    pub(super) async fn run(self, pusher: &Pusher, delay: Duration) -> Option<Self> {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut attempts = 0;
        loop {
            let outcome = push(pusher, &self.subscription, &self.envelope, &self.message).await;
            record(pusher, &outcome);
            if outcome.is_ok() {
                return None;
            }
            // Read anew: the waits may have been changed meanwhile.
            let wait = pusher.settings().retry_after_ms.get(attempts).copied();
            let Some(wait) = wait else {
                return Some(self);
            };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            attempts += 1;
        }
    }
}

impl Envelope {
    fn draw(pusher: &Pusher, subscription: &Subscription, time: i64) -> Self {
        let settings = pusher.settings();
        let dice = &pusher.0.dice;
        let owner = match subscription.owner.unwrap_or(settings.owner) {
            Owner::AppKey => pusher.0.app_key.clone(),
            Owner::CorpId => pusher.0.corp_id.clone(),
        };
        let signature = match settings.signature {
            SignatureParameter::Mixed => {
                [SignatureParameter::Signature, SignatureParameter::MsgSignature, SignatureParameter::Both]
                    [dice.below(3)]
            }
            fixed => fixed,
        };
        let timestamp = match settings.timestamp {
            TimestampParameter::Mixed if dice.chance(0.5) => TimestampParameter::Camel,
            TimestampParameter::Mixed => TimestampParameter::Lower,
            fixed => fixed,
        };
        let types = &settings.content_types;
        let content_type = match types.len() {
            0 => String::new(),
            count => types[dice.below(count)].clone(),
        };
        Self { owner, signature, timestamp, content_type, time: time.to_string() }
    }
}

fn record(pusher: &Pusher, outcome: &Result<Duration, PushFailure>) {
    let mut ledger = lock(&pusher.0.ledger);
    ledger.count.attempts += 1;
    match outcome {
        Ok(took) => {
            ledger.count.accepted += 1;
            ledger.acks.record(*took);
        }
        Err(failure) => {
            *ledger.count.failed.entry(failure.label()).or_default() += 1;
        }
    }
}

/// One attempt; tells how long the acknowledgement took.
async fn push(
    pusher: &Pusher,
    subscription: &Subscription,
    envelope: &Envelope,
    message: &str,
) -> Result<Duration, PushFailure> {
    let dice = &pusher.0.dice;
    let encrypted = encrypt(&subscription.aes_key, dice.prefix(), message, envelope.owner.as_bytes());
    let nonce = dice.nonce();
    let signed = signature(&subscription.token, &envelope.time, &nonce, &encrypted);
    let mut url = subscription.url.clone();
    {
        let mut query = url.query_pairs_mut();
        if envelope.signature != SignatureParameter::MsgSignature {
            query.append_pair("signature", &signed);
        }
        if envelope.signature != SignatureParameter::Signature {
            query.append_pair("msg_signature", &signed);
        }
        let name = match envelope.timestamp {
            TimestampParameter::Camel => "timeStamp",
            TimestampParameter::Lower | TimestampParameter::Mixed => "timestamp",
        };
        query.append_pair(name, &envelope.time).append_pair("nonce", &nonce);
    }
    let mut request = pusher.0.client.post(url).body(json!({ "encrypt": encrypted }).to_string());
    if !envelope.content_type.is_empty() {
        request = request.header("content-type", &envelope.content_type);
    }
    let deadline = Duration::from_millis(pusher.settings().answer_deadline_ms);
    // Closing never happens: the semaphore lives as long as the pusher.
    let _permit = pusher.0.permits.acquire().await;
    let started = Instant::now();
    let exchange = async {
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok::<_, reqwest::Error>((status, response.bytes().await?))
    };
    let (status, body) = tokio::time::timeout(deadline, exchange)
        .await
        .map_err(|_| PushFailure::Late)?
        .map_err(|error| PushFailure::Unreachable(error.without_url().to_string()))?;
    check(status, &body, &subscription.token, &subscription.aes_key, &envelope.owner)?;
    Ok(started.elapsed())
}

pub(super) async fn check_url(pusher: &Pusher, subscription: &Subscription) -> Result<(), PushFailure> {
    let envelope = Envelope::draw(pusher, subscription, pusher.0.clock.now_ms());
    let message = json!({ "EventType": "check_url" }).to_string();
    push(pusher, subscription, &envelope, &message).await.map(|_| ())
}
