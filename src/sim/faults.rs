//! What goes wrong: switches that can be thrown while the simulator runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that can go wrong. The default is that nothing does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Faults of single paths; under `*`, of all that have none of their own.
    pub paths: BTreeMap<String, PathFaults>,
    /// Every API connection is closed without an answer. Events go on, and so does control.
    pub away: Option<Spell>,
    /// The callers' addresses are banned: no answer but the ban's (`errors.md §1`).
    pub ban: Option<Ban>,
    /// 90002: too many calls by all of DingTalk's customers together (`errors.md §3`).
    pub overload: Option<Overload>,
    /// 90020 for the calls that are metered by the month (`contacts-api.md §9`).
    pub month_quota_used: bool,
    /// Tokens die this long after they were issued, milliseconds, whatever their answer promised.
    pub token_life_ms: Option<u64>,
    /// A permission granted after a token was issued takes effect with the next token (`contacts-api.md §2`).
    pub tokens_keep_rights: bool,
    /// Answers show the organisation of so long ago, milliseconds, drawn between the two; at most two minutes.
    pub answer_lag_ms: Option<[u64; 2]>,
    /// Added to DingTalk's clock, milliseconds: in `Date`, in events, in the ends of punishments.
    pub clock_skew_ms: i64,
    /// Departments whose lists of members come back empty.
    pub empty_departments: BTreeSet<i64>,
    /// Departments whose lists of members end after so many people, as if there were no more.
    pub cut_lists: BTreeMap<i64, usize>,
    /// Departments that calls which name them are told do not exist, although their parents list them and people are in
    /// them.
    pub denied_departments: BTreeSet<i64>,
    /// Pages of `v2/user/list` that fail.
    pub failing_pages: Vec<FailingPage>,
    /// Paths that are answered like methods that do not exist (`contacts-api.md §13`).
    pub unknown_methods: BTreeSet<String>,
    /// Calls of one address within 20 s that lead to a ban of five minutes; DingTalk allows 10,000
    /// (`contacts-api.md §9`). Without it no address is banned by itself.
    pub address_calls_per_20s: Option<usize>,
    /// Answers to questions that the documents leave open.
    pub variants: Variants,
    /// What happens to events on their way.
    pub events: EventFaults,
}

/// Behaviour of which the documents know more than one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variants {
    /// `listsub` of a department outside of the scope lists the authorised children instead of refusing
    /// (`contacts-api.md §3`).
    pub listsub_filters: bool,
    /// `role/list` counts roles instead of groups, so that a group can be spread over pages (`contacts-api.md §7`).
    pub role_list_counts_roles: bool,
    /// The code for a userid that nobody has: 60121 in the field, 33012 in some lists (`errors.md §5`).
    pub unknown_person_code: i64,
    /// How the gateway of `/topapi` refuses.
    pub gateway_errors: GatewayErrors,
}

impl Default for Variants {
    fn default() -> Self {
        Self {
            listsub_filters: false,
            role_list_counts_roles: false,
            unknown_person_code: 60_121,
            gateway_errors: GatewayErrors::Wrapped,
        }
    }
}

/// The shapes in which refusals of the gateway were seen (`errors.md §1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayErrors {
    /// 88 with `sub_code` and `sub_msg`.
    Wrapped,
    /// 88 with the code in the text of `errmsg` alone.
    Unstructured,
    /// The code itself as `errcode`.
    Bare,
}

/// Shares of the calls to a path, 0 to 1, that meet each fault. The faults are drawn in the order given here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct PathFaults {
    /// The connection is closed without an answer.
    pub reset: f64,
    /// No answer until the client gives up.
    pub hang: f64,
    /// The answer is late by [`Self::slow_ms`].
    pub slow: f64,
    /// How late, milliseconds, drawn between the two.
    pub slow_ms: [u64; 2],
    /// The HTML page of a banned address.
    pub ban_page: f64,
    /// HTTP 502, 503 or 504 with HTML or nothing.
    pub http: f64,
    /// -1, system busy.
    pub busy: f64,
}

/// How long something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Spell {
    /// Milliseconds; without it, until it is switched off.
    pub for_ms: Option<u64>,
    /// When it was switched on, milliseconds UTC; filled in by the simulator.
    pub since_ms: Option<i64>,
}

impl Spell {
    /// Whether it still lasts at `now`, milliseconds UTC.
    pub(crate) fn lasts(self, now: i64) -> bool {
        self.end().is_none_or(|end| now < end)
    }

    /// When it ends, milliseconds UTC.
    pub(crate) fn end(self) -> Option<i64> {
        Some(self.since_ms?.saturating_add(i64::try_from(self.for_ms?).ok()?))
    }
}

/// A ban of the caller's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// What the answer looks like.
    pub form: BanForm,
    /// How long.
    #[serde(default)]
    pub spell: Spell,
}

/// The two answers that a banned address was seen to get (`errors.md §1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanForm {
    /// A page for a browser.
    Html,
    /// `{"status":1111,…}`.
    Json,
}

/// Too many calls by everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Overload {
    /// The paths concerned; all, if empty.
    pub paths: BTreeSet<String>,
    /// How long.
    pub spell: Spell,
}

/// A page that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailingPage {
    /// Whose list.
    pub dept_id: i64,
    /// Which page, from 1, by the size that is asked for.
    pub page: u64,
    /// With which business error, such as 60019.
    pub errcode: i64,
}

/// What happens to events on their way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct EventFaults {
    /// The part that arrives twice, 0 to 1.
    pub duplicate_share: f64,
    /// The part that never arrives and is in no list either.
    pub loss_share: f64,
    /// How late events are sent, milliseconds, drawn between the two for each: which also changes their order.
    pub delay_ms: [u64; 2],
}

impl Faults {
    /// These faults with a JSON merge patch (RFC 7396) laid over them: what the patch does not name stays, `null`
    /// takes away. Spells that the patch names begin at `now`, milliseconds UTC.
    pub fn merged(&self, patch: &Value, now: i64) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        for spell in ["/away", "/ban/spell", "/overload/spell"] {
            if patch.pointer(spell).is_some_and(Value::is_object)
                && let Some(Value::Object(current)) = whole.pointer_mut(spell)
            {
                current.clear();
            }
        }
        merge(&mut whole, patch);
        let mut faults: Self = serde_json::from_value(whole)?;
        faults.start_spells(now);
        Ok(faults)
    }

    /// Lets spells that have no beginning yet begin at `now`.
    pub(crate) fn start_spells(&mut self, now: i64) {
        let spells = [
            self.away.as_mut(),
            self.ban.as_mut().map(|ban| &mut ban.spell),
            self.overload.as_mut().map(|overload| &mut overload.spell),
        ];
        for spell in spells.into_iter().flatten() {
            spell.since_ms.get_or_insert(now);
        }
    }

    /// The faults of a path.
    pub(crate) fn of_path(&self, path: &str) -> PathFaults {
        let found = self.paths.get(path).or_else(|| self.paths.get("*"));
        found.copied().unwrap_or_default()
    }
}

/// A JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let first = Faults::default()
            .merged(&json!({"paths":{"*":{"busy":0.5}},"away":{"for_ms":100}}), 1_000)
            .unwrap();
        let second =
            first.merged(&json!({"paths":{"/gettoken":{"http":1.0}},"clock_skew_ms":-5}), 2_000).unwrap();
        assert!((second.of_path("/topapi/v2/user/get").busy - 0.5).abs() < f64::EPSILON);
        assert!((second.of_path("/gettoken").busy).abs() < f64::EPSILON);
        assert_eq!(second.away.unwrap().end(), Some(1_100));
        assert_eq!(second.clock_skew_ms, -5);
        let third = second.merged(&json!({"away":{"for_ms":50}}), 3_000).unwrap();
        assert_eq!(third.away.unwrap().end(), Some(3_050), "a spell that is named begins anew");
        assert!(third.merged(&json!({"away":null}), 4_000).unwrap().away.is_none());
    }

    #[test]
    fn an_unknown_switch_is_an_error() {
        assert!(Faults::default().merged(&json!({"buzy":1}), 0).is_err());
        assert!(Faults::default().merged(&json!({"paths":{"*":{"buzy":1}}}), 0).is_err());
    }
}
