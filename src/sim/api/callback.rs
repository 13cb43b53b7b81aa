//! The administration of callbacks, and the list of events that failed (`events.md §5.1`, `§6`).

use std::collections::BTreeSet;

use serde_json::json;
use url::Url;

use super::envelope::{Payload, Refusal};
use super::request::Params;
use crate::dingtalk::crypto::AesKey;
use crate::sim::events::Topic;
use crate::sim::push::{Owner, PushFailure, Subscription};
use crate::sim::state::Shared;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Administration {
    Register,
    Update,
    Get,
    Delete,
    Failed,
}

/// Event types of other subjects that an application may name too (`events.md §4.4`).
const OTHER_TAGS: [&str; 22] = [
    "org_remove",
    "check_in",
    "attendance_check_record",
    "attendance_schedule_change",
    "attendance_overtime_duration",
    "attend_group_change",
    "attend_shift_change",
    "attend_bossCheck_change",
    "attendance_approve_status_change",
    "calendar_event_change",
    "todo_task_create",
    "todo_task_update",
    "todo_task_delete",
    "bpms_instance_change",
    "bpms_task_change",
    "hrm_user_record_change",
    "chat_add_member",
    "chat_remove_member",
    "chat_quit",
    "chat_update_owner",
    "chat_update_title",
    "chat_disband",
];

/// Carries out one of the calls.
pub(super) async fn administer(
    shared: &Shared,
    administration: Administration,
    params: &Params,
) -> Result<Payload, Refusal> {
    let registered = shared.pusher.registered();
    let none = || Refusal::business(71_007, "回调不存在");
    match administration {
        Administration::Failed => {
            let (failed_list, has_more) = shared.pusher.take_failed();
            return Ok(Payload::fields(json!({ "has_more": has_more, "failed_list": failed_list })));
        }
        Administration::Get => {
            let current = registered.ok_or_else(none)?;
            return Ok(Payload::fields(json!({
                "call_back_tag": current.tags,
                "token": current.token,
                "aes_key": current.aes_key_text,
                "url": current.url.as_str(),
            })));
        }
        Administration::Delete => {
            registered.ok_or_else(none)?;
            shared.pusher.set_registered(None);
        }
        Administration::Register => {
            if registered.is_some() {
                return Err(Refusal::business(71_006, "回调已经存在"));
            }
            subscribe(shared, params).await?;
        }
        Administration::Update => {
            registered.ok_or_else(none)?;
            subscribe(shared, params).await?;
        }
    }
    Ok(Payload::fields(json!({})))
}

/// Takes the new subscription if its URL answers `check_url` with the encrypted `success`.
async fn subscribe(shared: &Shared, params: &Params) -> Result<(), Refusal> {
    let invalid = |what: &str| Refusal::business(71_010, format!("{what}不合法"));
    let tags = params.list("call_back_tag").unwrap_or_default();
    let known = |tag: &String| {
        Topic::ALL.iter().any(|topic| topic.name() == tag) || OTHER_TAGS.contains(&tag.as_str())
    };
    if tags.is_empty() || !tags.iter().all(known) {
        return Err(Refusal::business(71_008, "call_back_tag不合法"));
    }
    let token = params.text("token").unwrap_or_default();
    if !(6..=63).contains(&token.chars().count()) {
        return Err(invalid("token"));
    }
    let aes_key_text = params.text("aes_key").unwrap_or_default();
    let aes_key = AesKey::parse(&aes_key_text).map_err(|_| invalid("aes_key"))?;
    let url: Url = (params.text("url").unwrap_or_default())
        .parse()
        .map_err(|_| Refusal::business(71_011, "URL格式不合法"))?;
    let subscription = Subscription {
        url,
        token: token.into_owned(),
        aes_key_text: aes_key_text.into_owned(),
        aes_key,
        tags: Some(tags.into_iter().collect::<BTreeSet<_>>()),
        owner: Some(Owner::CorpId),
    };
    match shared.pusher.check_url(&subscription).await {
        Ok(()) => {
            shared.pusher.set_registered(Some(subscription));
            Ok(())
        }
        Err(PushFailure::Unreachable(_) | PushFailure::Late) => {
            Err(Refusal::business(71_012, "URL地址不可达"))
        }
        Err(_) => Err(Refusal::business(71_009, "返回的不是加密的success")),
    }
}
