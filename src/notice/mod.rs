//! Tells people of what needs them, in a DingTalk group, through a robot.
//!
//! An observer: it looks at the state of the store and of DingTalk from time to time, in the process that leads, and nothing
//! waits for it. What is told is on record, so that each thing is told once, again at most once a day while it lasts, and
//! once more when it is over. No message holds anything personal.

mod decide;
mod observe;
mod text;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::decide::decide;
use crate::dingtalk::robot::Robot;
use crate::lifecycle::Pulse;
use crate::store::{Conn, Notice, Operation, StoreError};
use crate::sync::Context;

pub use self::text::TEST;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);
/// After a message that did not get through.
const RETRY: Duration = Duration::from_mins(1);

/// An organisation and the robot that is told of it.
#[derive(Debug, Clone)]
pub struct Post {
    /// The organisation.
    pub context: Arc<Context>,
    /// Its robot.
    pub robot: Robot,
    /// Whether the OA's tables are filled with it.
    pub fills_oa: bool,
}

/// Looks and tells whenever `leads` says so, until `shutdown`.
pub async fn tell(post: Post, leads: watch::Receiver<bool>, shutdown: CancellationToken, pulse: Pulse) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        never = pulse.keep_beating() => match never {},
        () = post.keep_telling(leads) => {}
    }
}

impl Post {
    async fn keep_telling(&self, leads: watch::Receiver<bool>) {
        let mut pause = LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = LOOK;
            if !*leads.borrow() {
                continue;
            }
            match self.look_and_tell().await {
                Ok(true) => {}
                Ok(false) => pause = RETRY,
                Err(error) if error.outage().is_some() => {}
                Err(error) => {
                    warn!(corp = self.context.name, %error, "what needs people cannot be looked at");
                    pause = RETRY;
                }
            }
        }
    }

    /// False when a message did not get through.
    async fn look_and_tell(&self) -> Result<bool, StoreError> {
        let context = &self.context;
        let now = context.clock.now();
        let known = context.store.reader().await?.notices(&context.corp_id).await?;
        let mut sentences = Vec::new();
        let mut changed = Vec::new();
        for seen in self.observe(&known).await? {
            let topic = seen.topic.label();
            let before = known.iter().find(|notice| notice.topic == topic).cloned();
            let before = before.unwrap_or_else(|| Notice::of(topic));
            let (said, after) = decide(&seen, &before, now);
            sentences.extend(said.map(|said| text::sentence(&seen, said)));
            if after != before {
                changed.push(after);
            }
        }
        if !sentences.is_empty() && !self.send(&text::message(&context.name, &sentences), now).await {
            return Ok(false);
        }
        if !changed.is_empty() {
            context.store.write(Note { corp_id: context.corp_id.clone(), notices: changed }).await?;
        }
        Ok(true)
    }

    async fn send(&self, message: &str, now: Timestamp) -> bool {
        let context = &self.context;
        let sent = self.robot.send(message, now).await;
        context.metrics.notice(&context.name, sent.is_ok());
        match &sent {
            Ok(()) => info!(corp = context.name, "the group robot was told what needs people"),
            Err(error) => {
                warn!(corp = context.name, %error, "the group robot could not be told; it is tried again");
            }
        }
        sent.is_ok()
    }
}

struct Note {
    corp_id: String,
    notices: Vec<Notice>,
}

impl Operation for Note {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for notice in &self.notices {
            conn.note_notice(&self.corp_id, notice).await?;
        }
        Ok(())
    }
}
