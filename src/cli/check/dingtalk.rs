//! Credentials, organisation, clock, scope and permissions, asked of DingTalk itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Verdict};
use crate::config::Corp;
use crate::dingtalk::endpoint::{self, Endpoint, MIRROR_READS, PERMISSION_BASE};
use crate::dingtalk::error::{Code, Denied};
use crate::dingtalk::{ApiError, Class, Client};
use crate::lane::Lane;

/// Nothing here depends on the clock to the second, but a clock that is minutes off spoils every time in the mirror.
const TOLERATED: SignedDuration = SignedDuration::from_secs(60);
const PERMISSIONS_PAGE: &str = "console → the application → 权限管理 (Permissions)";
const SCOPE_PAGE: &str = "console → the application → 权限管理 → 通讯录授权范围 (Contact scope)";
const CREDENTIALS_PAGE: &str = "console → the application → 凭证与基础信息 (Credentials)";
const ADDRESS_PAGE: &str = "console → the application → 安全设置 → 服务器出口IP (Server addresses)";

pub(super) async fn check(client: &Client, corp: &Corp, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![credentials(client).await];
    if findings.iter().any(|finding| finding.verdict != Verdict::Ok) {
        return findings;
    }
    findings.push(organisation(client, corp).await);
    findings.push(clock(client, now).await);
    findings.extend(Reads::default().make(client).await);
    findings
}

async fn credentials(client: &Client) -> Finding {
    let topic = "credentials";
    match client.prove_credentials().await {
        Ok(()) => Finding::new(topic, Verdict::Ok, "DingTalk accepts app_key and app_secret"),
        Err(error) => match error.class {
            Class::Credentials => {
                Finding::new(topic, Verdict::Wrong, "DingTalk refuses app_key and app_secret").remedy(
                    format!(
                        "copy Client ID (AppKey) and Client Secret (AppSecret) again: {CREDENTIALS_PAGE}"
                    ),
                )
            }
            _ => failed(topic, &error),
        },
    }
}

async fn organisation(client: &Client, corp: &Corp) -> Finding {
    let topic = "organisation";
    let wrong = || {
        Finding::new(topic, Verdict::Wrong, "corp_id is not the organisation that the application belongs to")
            .remedy("copy the CorpId from the first page of the console (首页 → CorpId), of the same organisation as the application")
    };
    match client.prove_corp(&corp.corp_id).await {
        Ok(()) => Finding::new(topic, Verdict::Ok, "corp_id is the application's organisation"),
        Err(error) => {
            // An unknown organisation was seen to be answered like a broken server (`contacts-api.md §2`).
            let word = error.refusal.as_ref().map(|refusal| &refusal.code);
            let unknown = matches!(word, Some(Code::Word(word)) if word == "unknownError");
            match error.class {
                _ if unknown => wrong(),
                Class::Credentials | Class::BadRequest | Class::Gone => wrong(),
                Class::UnknownMethod => {
                    Finding::new(topic, Verdict::Note, "this server cannot tell whether corp_id is right")
                }
                _ => failed(topic, &error),
            }
        }
    }
}

async fn clock(client: &Client, now: Timestamp) -> Finding {
    let topic = "clock";
    let Some(theirs) = client.server_time().await else {
        return Finding::new(topic, Verdict::Note, "DingTalk's answers carry no time to compare with");
    };
    let off = now.duration_since(theirs);
    if off.abs() <= TOLERATED {
        return Finding::new(topic, Verdict::Ok, "this machine's clock agrees with DingTalk's");
    }
    let direction = if off.is_positive() { "ahead of" } else { "behind" };
    let text = format!("this machine's clock is {} s {direction} DingTalk's", off.abs().as_secs());
    Finding::new(topic, Verdict::Wrong, text)
        .remedy("set it, and keep it set with NTP (chrony, systemd-timesyncd)")
}

/// What a failed call says about the set-up.
fn failed(topic: &'static str, error: &ApiError) -> Finding {
    match error.class {
        Class::Denied(Denied::Address) => {
            Finding::new(topic, Verdict::Wrong, "DingTalk refuses this machine's address").remedy(format!(
                "add the address from which this machine reaches the Internet: {ADDRESS_PAGE}"
            ))
        }
        Class::Denied(Denied::Disabled) => Finding::new(topic, Verdict::Wrong, error.to_string())
            .remedy("publish and enable the application (版本管理与发布)"),
        Class::Denied(Denied::PermissionPoint) => {
            Finding::new(topic, Verdict::Wrong, error.to_string()).remedy(PERMISSIONS_PAGE)
        }
        Class::Retry | Class::Throttle(_) | Class::RefreshToken => {
            Finding::new(topic, Verdict::Later, error.to_string()).remedy(
                "make sure that this machine reaches oapi.dingtalk.com and api.dingtalk.com on port 443, and that \
                 `oapi_url` and `api_url` are right where they are set; then try again",
            )
        }
        Class::UnknownMethod => Finding::new(topic, Verdict::Wrong, error.to_string())
            .remedy("look whether `oapi_url` and `api_url` name DingTalk's hosts, where they are set"),
        _ => Finding::new(topic, Verdict::Wrong, error.to_string()),
    }
}

/// One call of every read that the mirror makes, each with what an earlier one brought.
#[derive(Default)]
struct Reads {
    department: Option<i64>,
    person: Option<String>,
    role: Option<i64>,
    group: Option<i64>,
    missing: BTreeSet<String>,
    findings: Vec<Finding>,
    mobile_shown: bool,
    personal_shown: bool,
    people_seen: bool,
}

impl Reads {
    async fn make(mut self, client: &Client) -> Vec<Finding> {
        self.scopes(client).await;
        if let Some(dept_id) = self.department {
            let children = client.child_departments(Lane::Live, dept_id).await;
            self.note(endpoint::DEPARTMENT_CHILDREN, children);
            let department = client.department(Lane::Live, dept_id).await;
            self.note(endpoint::DEPARTMENT, department);
            self.members(client, dept_id).await;
            let ids = client.member_ids(Lane::Live, dept_id).await;
            if let Some(ids) = self.note(endpoint::MEMBER_IDS, ids) {
                self.person = self.person.take().or_else(|| ids.into_iter().next());
            }
        }
        if let Some(userid) = self.person.clone() {
            let person = client.person(Lane::Live, &userid).await;
            self.note(endpoint::PERSON, person);
        }
        self.roles(client).await;
        self.fields();
        self.permissions();
        self.findings
    }

    /// Takes what a call brought; a missing permission goes on the list, anything else is a finding of its own.
    fn note<T>(&mut self, endpoint: Endpoint, outcome: Result<T, ApiError>) -> Option<T> {
        let error = match outcome {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        match error.class {
            Class::Denied(Denied::PermissionPoint) => {
                let named = error.refusal.map(|refusal| refusal.required_scopes).unwrap_or_default();
                if named.is_empty() {
                    self.missing.insert(endpoint.permission.to_owned());
                }
                self.missing.extend(named);
            }
            // The object went away or is out of sight: the call as such is permitted.
            Class::Gone | Class::Hidden => {}
            Class::UnknownMethod => {
                let text = format!("this server does not know {}: what needs it is left out", endpoint.path);
                self.findings.push(Finding::new("permissions", Verdict::Note, text));
            }
            _ => {
                let finding = failed("permissions", &error);
                if self.findings.iter().all(|known| known.text != finding.text) {
                    self.findings.push(finding);
                }
            }
        }
        None
    }

    async fn scopes(&mut self, client: &Client) {
        let topic = "scope";
        let outcome = client.scopes(Lane::Live).await;
        let Some(scopes) = self.note(endpoint::SCOPES, outcome) else { return };
        let departments = scopes.auth_org_scopes.authed_dept.unwrap_or_else(|| vec![1]);
        let people = scopes.auth_org_scopes.authed_user.unwrap_or_default();
        self.department = departments.first().copied();
        self.person = people.first().cloned();
        self.findings.push(match (departments.as_slice(), people.len()) {
            (departments, _) if departments.contains(&1) => {
                Finding::new(topic, Verdict::Ok, "the application sees the whole organisation")
            }
            ([], 0) => Finding::new(topic, Verdict::Wrong, "the application's contact scope is empty: it sees nobody")
                .remedy(format!("choose 全部员工 (all staff): {SCOPE_PAGE}")),
            (departments, people) => Finding::new(
                topic,
                Verdict::Note,
                format!(
                    "the application's contact scope is smaller than the organisation: {} departments with everything below them, and {people} people. Nobody else is mirrored",
                    departments.len()
                ),
            )
            .remedy(format!("if the whole organisation is wanted, choose 全部员工 (all staff): {SCOPE_PAGE}")),
        });
    }

    async fn members(&mut self, client: &Client, dept_id: i64) {
        let outcome = client.members(Lane::Live, dept_id, 0).await;
        let Some((people, _)) = self.note(endpoint::MEMBERS, outcome) else { return };
        for person in &people {
            self.people_seen = true;
            self.mobile_shown |= person.mobile.is_some();
            self.personal_shown |=
                person.email.is_some() || person.org_email.is_some() || person.work_place.is_some();
        }
        let first = people.into_iter().find_map(|person| person.userid);
        self.person = self.person.take().or(first);
    }

    async fn roles(&mut self, client: &Client) {
        let count = client.people_count(Lane::Live).await;
        self.note(endpoint::PEOPLE_COUNT, count);
        let groups = client.roles(Lane::Live).await;
        if let Some(groups) = self.note(endpoint::ROLES, groups) {
            self.group = groups.iter().find_map(|group| group.group_id);
            self.role = groups.iter().flat_map(|group| &group.roles).find_map(|role| role.id);
        }
        if let Some(role_id) = self.role {
            let members = client.role_members(Lane::Live, role_id, 0).await;
            self.note(endpoint::ROLE_MEMBERS, members);
            let role = client.prove_role(Lane::Live, role_id).await;
            self.note(endpoint::ROLE, role);
        }
        if let Some(group_id) = self.group {
            let group = client.prove_role_group(Lane::Live, group_id).await;
            self.note(endpoint::ROLE_GROUP, group);
        }
    }

    fn fields(&mut self) {
        let fields = [
            (self.mobile_shown, "mobile numbers", "企业员工手机号信息"),
            (self.personal_shown, "e-mail addresses and places of work", "邮箱等个人信息"),
        ];
        for (shown, what, permission) in fields {
            if self.people_seen && !shown {
                let text = format!(
                    "nobody on the first page shows {what}: the field permission {permission} may be missing"
                );
                let finding = Finding::new("permissions", Verdict::Note, text);
                self.findings
                    .push(finding.remedy(format!("if the OA needs them, grant it: {PERMISSIONS_PAGE}")));
            }
        }
    }

    fn permissions(&mut self) {
        let topic = "permissions";
        let needed: BTreeSet<&str> = MIRROR_READS.iter().map(|endpoint| endpoint.permission).collect();
        let list = |points: &mut dyn Iterator<Item = &str>| points.collect::<Vec<_>>().join(", ");
        if self.missing.is_empty() {
            let needed = list(&mut needed.into_iter().filter(|point| *point != PERMISSION_BASE));
            let text = format!("all permission points that the mirror needs are granted: {needed}");
            self.findings.push(Finding::new(topic, Verdict::Ok, text));
        } else {
            let missing = list(&mut self.missing.iter().map(String::as_str));
            let text = format!("these permission points are missing: {missing}");
            let finding = Finding::new(topic, Verdict::Wrong, text);
            self.findings.push(
                finding.remedy(format!("grant them, and publish the application again: {PERMISSIONS_PAGE}")),
            );
        }
    }
}
