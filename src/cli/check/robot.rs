//! The group robot: sends it a message, as notices are sent.

use super::{Finding, Verdict};
use crate::clock::SharedClock;
use crate::config::Corp;
use crate::dingtalk::robot::{Robot, RobotError};
use crate::notice::TEST;

const TOPIC: &str = "robot";

/// Sends a test message into the group.
pub(super) async fn send_test(corp: &Corp, clock: &SharedClock) -> Finding {
    let Some(settings) = &corp.robot else {
        return Finding::new(
            TOPIC,
            Verdict::Wrong,
            "no robot_webhook is configured: nobody is told anything",
        )
        .remedy(
            "add a custom robot (自定义机器人) with 加签 to a group, and copy its webhook and its secret",
        );
    };
    let robot = Robot::new(settings.webhook.clone(), settings.secret.clone());
    match robot.send(TEST, clock.now()).await {
        Ok(()) => Finding::new(TOPIC, Verdict::Ok, "a test message was sent into the group"),
        Err(error @ RobotError::Unreachable(_)) => Finding::new(TOPIC, Verdict::Later, error.to_string()),
        Err(error) => Finding::new(TOPIC, Verdict::Wrong, error.to_string()),
    }
}
