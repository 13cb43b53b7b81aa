//! What names and comments of tables and columns mean.

use super::super::mapping::Part;
use super::TableColumn;
use super::dictionary::Meaning as M;
pub(super) use super::dictionary::Meaning;
use super::dictionary::{AMBIGUOUS, listed, prefixes, words};

/// A name in small letters, without what separates its words.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What the columns of a part's table hold, as far as that can be told: no two of them the same.
pub(super) fn meanings(part: Part, columns: &[TableColumn]) -> Vec<Option<Meaning>> {
    let named: Vec<Option<Meaning>> = columns.iter().map(|column| meaning_of_name(part, column)).collect();
    let mut taken = Vec::new();
    let mut meanings = vec![None; columns.len()];
    // Comments speak of other columns too: names come first.
    for is_named in [true, false] {
        // A key that the table makes by itself holds nothing else, whatever is said of it.
        let given = |column: &TableColumn| !(column.is_key && column.is_generated);
        for (at, column) in columns.iter().enumerate().filter(|(_, column)| given(column)) {
            let meaning = if is_named { named[at] } else { by_comment(part, &column.comment) };
            if let Some(meaning) =
                meaning.filter(|meaning| meanings[at].is_none() && !taken.contains(meaning))
            {
                taken.push(meaning);
                meanings[at] = Some(meaning);
            }
        }
    }
    meanings
}

fn meaning_of_name(part: Part, column: &TableColumn) -> Option<Meaning> {
    let name = plain(&column.name);
    let without_prefix =
        || prefixes(part).iter().find_map(|prefix| by_name(part, name.strip_prefix(prefix)?));
    let named = by_name(part, &name).or_else(without_prefix);
    if listed(AMBIGUOUS, &name) { by_comment(part, &column.comment).or(named) } else { named }
}

fn by_name(part: Part, name: &str) -> Option<Meaning> {
    words(part).find(|(_, names, _)| listed(names, name)).map(|(meaning, ..)| *meaning)
}

fn by_comment(part: Part, comment: &str) -> Option<Meaning> {
    let end = comment.find(|letter: char| "（(【[：:，,；;。 ".contains(letter)).unwrap_or(comment.len());
    let said = comment[..end].trim();
    let of = |said: &str| {
        let fits =
            |known: &str| said.eq_ignore_ascii_case(known) || (!known.is_ascii() && said.starts_with(known));
        words(part).find(|(_, _, comments)| comments.split(' ').any(fits)).map(|(meaning, ..)| *meaning)
    };
    of(said).or_else(|| {
        let whose = ["用户", "员工", "人员", "账号", "帐号", "部门", "机构", "组织", "角色"];
        whose.iter().find_map(|whose| said.strip_prefix(whose).filter(|rest| !rest.is_empty()).and_then(of))
    })
}

const PEOPLE: &str = "user users employee employees emp staff person personnel people member members";
const DEPARTMENTS: &str =
    "dept depts depart department departments org orgs organization organisation unit branch";
const ROLES: &str = "role roles";

/// Which part of the mapping a table is; `None` where neither its name nor its comment tells.
pub(super) fn part_of(table: &str, comment: &str, columns: &[TableColumn]) -> Option<Part> {
    let spaced = spaced(table);
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    let has = |known: &str, said: &str| {
        words.iter().any(|word| listed(known, word)) || said.split(' ').any(|known| comment.contains(known))
    };
    let (people, departments, roles) =
        (has(PEOPLE, "用户 员工 人员 职员 成员"), has(DEPARTMENTS, "部门 机构 组织"), has(ROLES, "角色"));
    let refers = |part: Part| {
        let has = |part, wanted| meanings(part, columns).contains(&Some(wanted));
        let other = if part == Part::RoleMember { M::Role } else { M::Department };
        let is_somebody = [M::Name, M::Mobile, M::Password].iter().any(|own| has(Part::Employee, *own));
        has(part, M::Employee) && has(part, other) && !is_somebody
    };
    if people && roles && refers(Part::RoleMember) {
        return Some(Part::RoleMember);
    }
    if people && departments && refers(Part::DepartmentMember) {
        return Some(Part::DepartmentMember);
    }
    // In org_user the last word says it.
    let by_name = words.iter().rev().find_map(|word| match *word {
        word if listed(PEOPLE, word) => Some(Part::Employee),
        word if listed(DEPARTMENTS, word) => Some(Part::Department),
        word if listed(ROLES, word) => Some(Part::Role),
        _ => None,
    });
    by_name.or(match (people, departments, roles) {
        (true, _, _) => Some(Part::Employee),
        (_, true, _) => Some(Part::Department),
        (_, _, true) => Some(Part::Role),
        _ => None,
    })
}

/// The words of a name, in small letters and with spaces between them.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut was_small = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && was_small) {
            words.push(' ');
        }
        if letter.is_alphanumeric() {
            words.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_s_name_or_comment_tells_what_it_holds() {
        let part = |table: &str, comment: &str| part_of(table, comment, &[]);
        for (table, comment, expected) in [
            ("sys_user", "", Part::Employee),
            ("HrEmployee", "", Part::Employee),
            ("org_user", "", Part::Employee),
            ("t_staff_info", "", Part::Employee),
            ("sys_dept", "", Part::Department),
            ("sys_depart", "", Part::Department),
            ("base_organization", "", Part::Department),
            ("sys_role", "", Part::Role),
            ("t_001", "员工信息表", Part::Employee),
            ("t_002", "组织机构", Part::Department),
            ("t_003", "角色", Part::Role),
        ] {
            assert_eq!(part(table, comment), Some(expected), "{table} {comment}");
        }
        assert_eq!(part("sys_menu", "菜单"), None);
    }

    #[test]
    fn names_and_comments_of_columns_are_understood_in_both_languages() {
        let column = |name: &str, comment: &str| TableColumn {
            name: name.to_owned(),
            comment: comment.to_owned(),
            ..TableColumn::default()
        };
        let told = |part: Part, name: &str, comment: &str| meanings(part, &[column(name, comment)])[0];
        for (name, comment, expected) in [
            ("user_name", "用户账号", M::Login),
            ("user_name", "用户姓名", M::Name),
            ("NickName", "", M::Name),
            ("xm", "姓名", M::Name),
            ("sjh", "手机号码", M::Mobile),
            ("emp_no", "", M::JobNumber),
            ("f3", "工号，唯一", M::JobNumber),
            ("dept_id", "", M::MainDept),
            ("staff_email", "", M::Email),
            ("zt", "状态（0正常 1停用）", M::Status),
            ("c9", "账号状态", M::Status),
            ("c10", "员工手机", M::Mobile),
            ("entry_date", "", M::HiredDate),
            ("rzrq", "入职日期", M::HiredDate),
            ("gmt_create", "", M::CreatedAt),
            ("ding_user_id", "", M::DingId),
            ("sj", "直属上级", M::Manager),
        ] {
            assert_eq!(told(Part::Employee, name, comment), Some(expected), "{name} {comment}");
        }
        assert_eq!(told(Part::Employee, "sex", "性别"), None);
        assert_eq!(told(Part::Employee, "depart_ids", "负责部门"), None);
        assert_eq!(told(Part::Department, "parent_id", ""), Some(M::Parent));
        assert_eq!(told(Part::Department, "fzr", "负责人"), Some(M::Manager));
        assert_eq!(told(Part::Role, "role_key", "权限字符"), Some(M::Code));
        assert_eq!(told(Part::RoleMember, "user_id", ""), Some(M::Employee));
    }
}
