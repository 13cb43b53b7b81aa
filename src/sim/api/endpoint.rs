//! The table of what can be called.

use super::envelope::{Family, Payload, Refusal};
use super::request::Params;
use super::{callback, department, leavers, role, scopes, user};
use crate::sim::app::{App, point};
use crate::sim::faults::Faults;
use crate::sim::view::View;

/// One call of a method, with all that it may look at.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) params: &'a Params,
    pub(crate) view: View<'a>,
    pub(crate) faults: &'a Faults,
    /// Those who left, oldest first.
    pub(crate) leavers: &'a [crate::sim::model::LeaveRecord],
}

/// How a method is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// A look at the organisation.
    Read(fn(&Call<'_>) -> Result<Payload, Refusal>),
    /// `gettoken`.
    ClassicToken,
    /// `v1.0/oauth2/accessToken`.
    ModernToken,
    /// `v1.0/oauth2/{corpId}/token`.
    UnifiedToken,
    /// The administration of callbacks.
    Callback(callback::Administration),
}

/// The HTTP method that a path wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
}

/// A method of the API.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) path: &'static str,
    pub(crate) verb: Verb,
    /// The permission point that it needs.
    pub(crate) permission: &'static str,
    /// Whether it counts against the month's allowance (`contacts-api.md §9`).
    pub(crate) metered: bool,
    pub(crate) action: Action,
}

impl Endpoint {
    pub(crate) fn family(&self) -> Family {
        Family::of(self.path)
    }

    /// Whether a token is needed.
    pub(crate) fn wants_token(&self) -> bool {
        !matches!(self.action, Action::ClassicToken | Action::ModernToken | Action::UnifiedToken)
    }
}

type Handler = fn(&Call<'_>) -> Result<Payload, Refusal>;

const fn read(path: &'static str, permission: &'static str, handler: Handler) -> Endpoint {
    Endpoint { path, verb: Verb::Post, permission, metered: false, action: Action::Read(handler) }
}

const fn get(mut endpoint: Endpoint) -> Endpoint {
    endpoint.verb = Verb::Get;
    endpoint
}

const fn metered(mut endpoint: Endpoint) -> Endpoint {
    endpoint.metered = true;
    endpoint
}

const fn act(path: &'static str, verb: Verb, action: Action) -> Endpoint {
    Endpoint { path, verb, permission: point::BASE, metered: false, action }
}

/// Every method that is simulated. Writes would stand here too, with an [`Action`] of their own.
static ENDPOINTS: &[Endpoint] = &[
    act("/gettoken", Verb::Get, Action::ClassicToken),
    act("/v1.0/oauth2/accessToken", Verb::Post, Action::ModernToken),
    act(UNIFIED_TOKEN, Verb::Post, Action::UnifiedToken),
    metered(get(read("/auth/scopes", point::BASE, scopes::scopes))),
    read("/topapi/v2/department/listsub", point::DEPARTMENTS, department::listsub),
    read("/topapi/v2/department/listsubid", point::DEPARTMENTS, department::listsubid),
    read("/topapi/v2/department/get", point::DEPARTMENTS, department::get),
    read("/topapi/v2/department/listparentbydept", point::DEPARTMENTS, department::listparentbydept),
    read("/topapi/v2/department/listparentbyuser", point::DEPARTMENTS, department::listparentbyuser),
    get(read("/department/list", point::DEPARTMENTS, department::classic_list)),
    get(read("/department/list_ids", point::DEPARTMENTS, department::classic_list_ids)),
    read("/topapi/v2/user/list", point::DEPARTMENT_MEMBERS, user::list),
    read("/topapi/user/listsimple", point::DEPARTMENT_MEMBERS, user::listsimple),
    read("/topapi/user/listid", point::MEMBER, user::listid),
    read("/topapi/v2/user/get", point::MEMBER, user::get),
    read("/topapi/v2/user/getbymobile", point::MEMBER_BY_MOBILE, user::getbymobile),
    read("/topapi/user/getbyunionid", point::MEMBER, user::getbyunionid),
    read("/topapi/user/count", point::MEMBER, user::count),
    read("/topapi/user/listadmin", point::MEMBER, user::listadmin),
    read("/topapi/user/get_admin_scope", point::MEMBER, user::get_admin_scope),
    read("/topapi/role/list", point::DEPARTMENTS, role::list),
    read("/topapi/role/getrolegroup", point::DEPARTMENTS, role::getrolegroup),
    read("/topapi/role/getrole", point::DEPARTMENT_MEMBERS, role::getrole),
    read("/topapi/role/simplelist", point::DEPARTMENT_MEMBERS, role::simplelist),
    get(read("/v1.0/contact/empLeaveRecords", point::LEAVERS, leavers::records)),
    metered(act(
        "/call_back/get_call_back_failed_result",
        Verb::Get,
        Action::Callback(callback::Administration::Failed),
    )),
    metered(act(
        "/call_back/register_call_back",
        Verb::Post,
        Action::Callback(callback::Administration::Register),
    )),
    metered(act(
        "/call_back/update_call_back",
        Verb::Post,
        Action::Callback(callback::Administration::Update),
    )),
    metered(act("/call_back/get_call_back", Verb::Get, Action::Callback(callback::Administration::Get))),
    metered(act(
        "/call_back/delete_call_back",
        Verb::Get,
        Action::Callback(callback::Administration::Delete),
    )),
];

const UNIFIED_TOKEN: &str = "/v1.0/oauth2/{corpId}/token";

/// The method at a path.
pub(crate) fn find(path: &str) -> Option<&'static Endpoint> {
    let wanted = match unified_token_corp(path) {
        Some(_) => UNIFIED_TOKEN,
        None => path,
    };
    ENDPOINTS.iter().find(|endpoint| endpoint.path == wanted)
}

/// The organisation in the path of the unified token call.
pub(crate) fn unified_token_corp(path: &str) -> Option<&str> {
    let corp = path.strip_prefix("/v1.0/oauth2/")?.strip_suffix("/token")?;
    (!corp.is_empty() && !corp.contains('/')).then_some(corp)
}
