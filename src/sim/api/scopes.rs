//! What the application may see (`contacts-api.md §3`).

use serde_json::json;

use super::endpoint::Call;
use super::envelope::{Payload, Refusal};

/// `GET /auth/scopes`.
#[expect(clippy::unnecessary_wraps, reason = "the table of methods has one signature for all")]
pub(super) fn scopes(call: &Call<'_>) -> Result<Payload, Refusal> {
    let settings = &call.app.settings;
    let mut fields = vec!["name", "avatar", "userid", "jobnumber", "department", "position"];
    if settings.mobile_field {
        fields.push("mobile");
    }
    if settings.personal_fields {
        fields.push("email");
    }
    Ok(Payload::fields(json!({
        "auth_org_scopes": { "authed_dept": settings.scope.departments, "authed_user": settings.scope.people },
        "auth_user_field": fields,
        "condition_field": [],
    })))
}
