//! Those who left (`contacts-api.md §5.2`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::endpoint::Call;
use super::envelope::{Payload, Refusal};

/// The widest window, in days.
const WIDEST_MS: i64 = 365 * 86_400_000;

fn invalid(message: &'static str) -> Refusal {
    Refusal::Modern { status: 400, code: "parameter.error", message }
}

/// `GET /v1.0/contact/empLeaveRecords`.
pub(super) fn records(call: &Call<'_>) -> Result<Payload, Refusal> {
    let time = |name: &str| {
        let text = call.params.text(name).ok_or(invalid("缺少时间参数"))?;
        let instant: Timestamp = text.parse().map_err(|_| invalid("时间格式错误"))?;
        Ok::<i64, Refusal>(instant.as_millisecond())
    };
    let (start, end) = (time("startTime")?, time("endTime")?);
    if end < start || end - start > WIDEST_MS {
        return Err(invalid("时间范围不合法"));
    }
    let number = |name: &str, default: usize| match call.params.text(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| invalid("分页参数不合法")),
    };
    let (offset, size): (usize, usize) = (number("nextToken", 0)?, number("maxResults", 50)?);
    if !(1..=50).contains(&size) {
        return Err(invalid("maxResults不合法"));
    }
    let matching = call.leavers.iter().filter(|record| (start..end).contains(&record.left_at));
    let mut records: Vec<Value> = matching
        .skip(offset)
        .take(size + 1)
        .map(|record| {
            let left = Timestamp::from_millisecond(record.left_at).unwrap_or(Timestamp::UNIX_EPOCH);
            let mut item = json!({
                "userId": record.person.userid,
                "name": record.person.name,
                "leaveTime": left.to_string(),
                "leaveReason": "leave",
            });
            if call.app.settings.mobile_field
                && let Some(mobile) = &record.person.mobile
            {
                item["mobile"] = mobile.as_str().into();
                item["stateCode"] = record.person.state_code.as_deref().unwrap_or("86").into();
            }
            item
        })
        .collect();
    let more = records.len() > size;
    records.truncate(size);
    let mut body = json!({ "records": records });
    if more {
        body["nextToken"] = (offset + size).to_string().into();
    }
    Ok(Payload::Whole(body))
}
