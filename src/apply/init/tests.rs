use std::collections::BTreeSet;

use super::*;
use crate::apply::Statement;

const RUOYI: &str = include_str!("../../../tests/data/apply/ruoyi.sql");
const JEECGBOOT: &str = include_str!("../../../tests/data/apply/jeecgboot.sql");
const HR: &str = include_str!("../../../tests/data/apply/hr.sql");
const HR_SQLITE: &str = include_str!("../../../tests/data/apply/hr-sqlite.sql");

/// A table of a script, as the engine would tell its columns.
fn table(script: &str, table: &str) -> (String, Vec<TableColumn>) {
    let lines = script.lines().skip_while(|line| *line != format!("CREATE TABLE {table} ("));
    let body: Vec<&str> = lines.skip(1).take_while(|line| !line.starts_with(')')).collect();
    let mut end = script.lines().skip_while(|line| *line != format!("CREATE TABLE {table} ("));
    let end = end.find(|line| line.starts_with(')')).unwrap_or_default();
    let quoted = |line: &str| line.rsplit('\'').nth(1).unwrap_or_default().to_owned();
    let said_of = |column: &str| {
        let start = format!("COMMENT ON COLUMN {table}.{column} IS ");
        script.lines().find(|line| line.starts_with(&start)).map(quoted).unwrap_or_default()
    };
    let keys: Vec<&str> = body
        .iter()
        .find_map(|line| line.trim().strip_prefix("PRIMARY KEY ("))
        .map(|keys| keys.split([',', ')']).map(str::trim).collect())
        .unwrap_or_default();
    let columns = body
        .iter()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|line| !["PRIMARY KEY", "UNIQUE KEY", "KEY ", "--"].iter().any(|word| line.starts_with(word)))
        .map(|line| {
            let mut words = line.split_whitespace();
            let (name, type_text) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let is_key = keys.contains(&name) || line.contains("PRIMARY KEY");
            TableColumn {
                name: name.to_owned(),
                type_text: type_text.to_ascii_lowercase(),
                comment: if line.contains("COMMENT") { quoted(line) } else { said_of(name) },
                is_nullable: !is_key && !line.contains("NOT NULL"),
                has_default: line.contains("DEFAULT") && !line.contains("DEFAULT NULL"),
                is_key,
                is_unique: body
                    .iter()
                    .any(|line| line.trim().starts_with("UNIQUE KEY") && line.contains(&format!("({name})"))),
                is_generated: ["AUTO_INCREMENT", "IDENTITY", "AUTOINCREMENT"]
                    .iter()
                    .any(|word| line.contains(word)),
            }
        })
        .collect();
    (if end.contains("COMMENT") { quoted(end) } else { String::new() }, columns)
}

fn proposal(engine: Dialect, script: &str, name: &str) -> Proposal {
    let (comment, columns) = table(script, name);
    assert!(columns.len() > 1, "{name}: {columns:?}");
    propose(engine, name, &comment, &columns)
}

/// The parameters of a statement, which are all known.
fn check(engine: Dialect, part: Part, key: &str, text: &str) -> Vec<String> {
    let statement = Statement::parse(key, text, engine).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for parameter in statement.parameters() {
        let name = parameter.strip_prefix("old_").unwrap_or(parameter);
        assert!(part.parameters().contains(&name), "{part:?} has no {parameter}: {text}");
        assert!(key != "find" || name != "oa_id", "{text}");
    }
    statement.parameters().to_vec()
}

/// The statements of a proposal, as the configuration and the mapping read them, and the names of their parameters.
fn read(engine: Dialect, proposal: &Proposal) -> (toml::Table, BTreeSet<String>) {
    let text = proposal.to_string();
    let part = proposal.part;
    let file: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let entity = file["apply"]["oa"][part.label()].as_table().expect("a table").clone();
    let mut parameters = BTreeSet::new();
    for (key, value) in &entity {
        let texts: Vec<&str> = match value {
            toml::Value::String(text) => vec![text],
            toml::Value::Array(texts) => texts.iter().filter_map(toml::Value::as_str).collect(),
            other => panic!("{key}: {other}"),
        };
        assert!(!texts.is_empty());
        for text in texts {
            parameters.extend(check(engine, part, key, text));
        }
    }
    (entity, parameters)
}

#[test]
fn drafts_of_known_schemas_are_read_and_name_what_they_should() {
    let expected = [
        (
            Dialect::Mysql,
            RUOYI,
            "sys_dept",
            Part::Department,
            "oa_id parent_oa_id ancestor_oa_ids name dept_order manager_name manager_mobile manager_email created_at updated_at",
        ),
        (
            Dialect::Mysql,
            RUOYI,
            "sys_user",
            Part::Employee,
            "oa_id main_dept_oa_id userid name org_email email mobile gone_at created_at updated_at",
        ),
        (Dialect::Mysql, RUOYI, "sys_role", Part::Role, "oa_id role_id name created_at updated_at"),
        (Dialect::Mysql, RUOYI, "sys_user_role", Part::RoleMember, "employee_oa_id role_oa_id"),
        (
            Dialect::Mysql,
            JEECGBOOT,
            "sys_depart",
            Part::Department,
            "corp_id dept_id oa_id parent_oa_id name dept_order manager_mobile created_at updated_at",
        ),
        (
            Dialect::Mysql,
            JEECGBOOT,
            "sys_user",
            Part::Employee,
            "corp_id userid unionid oa_id name mobile org_email email job_number telephone avatar gone_at created_at updated_at",
        ),
        (
            Dialect::Mysql,
            JEECGBOOT,
            "sys_user_depart",
            Part::DepartmentMember,
            "corp_id employee_oa_id department_oa_id",
        ),
        (
            Dialect::Mysql,
            JEECGBOOT,
            "sys_role",
            Part::Role,
            "corp_id role_id oa_id name created_at updated_at",
        ),
        (Dialect::Mysql, JEECGBOOT, "sys_user_role", Part::RoleMember, "corp_id employee_oa_id role_oa_id"),
        (
            Dialect::Postgres,
            HR,
            "hr_department",
            Part::Department,
            "oa_id name parent_oa_id full_name dept_order manager_oa_id created_at updated_at",
        ),
        (
            Dialect::Postgres,
            HR,
            "hr_employee",
            Part::Employee,
            "oa_id userid name job_number mobile org_email email title main_dept_oa_id manager_oa_id hired_date gone_at created_at updated_at",
        ),
        (
            Dialect::Postgres,
            HR,
            "hr_department_member",
            Part::DepartmentMember,
            "employee_oa_id department_oa_id",
        ),
        (Dialect::Postgres, HR, "hr_role", Part::Role, "oa_id role_id name"),
        (Dialect::Postgres, HR, "hr_employee_role", Part::RoleMember, "employee_oa_id role_oa_id"),
        (
            Dialect::Sqlite,
            HR_SQLITE,
            "hr_employee",
            Part::Employee,
            "oa_id userid name job_number mobile org_email email title main_dept_oa_id manager_oa_id hired_date created_at updated_at",
        ),
    ];
    for (engine, script, name, part, wanted) in expected {
        let proposal = proposal(engine, script, name);
        assert_eq!(proposal.part, part, "{name}");
        let (entity, parameters) = read(engine, &proposal);
        let wanted: BTreeSet<String> = wanted.split(' ').map(str::to_owned).collect();
        assert_eq!(parameters, wanted, "{name}:\n{proposal}");
        assert_eq!(entity.contains_key("find"), part.members().is_none(), "{name}:\n{proposal}");
        // SQLite has no comments that would tell which state means gone.
        let is_told = engine != Dialect::Sqlite;
        assert_eq!(entity.contains_key("delete"), is_told, "{name}:\n{proposal}");
    }
}

fn column(name: &str, type_text: &str) -> TableColumn {
    TableColumn {
        name: name.to_owned(),
        type_text: type_text.to_owned(),
        is_nullable: true,
        ..TableColumn::default()
    }
}

fn key(name: &str, type_text: &str, is_generated: bool) -> TableColumn {
    TableColumn { is_key: true, is_nullable: false, is_generated, ..column(name, type_text) }
}

#[test]
fn a_generated_key_takes_no_other_column_s_meaning() {
    let number = TableColumn { comment: "人员编号".to_owned(), ..key("ryid", "bigint", true) };
    let job = TableColumn { comment: "工号".to_owned(), ..column("gh", "varchar(30)") };
    let name = TableColumn { comment: "姓名".to_owned(), ..column("xm", "varchar(30)") };
    let proposal = propose(Dialect::Mysql, "staff", "", &[number, job, name]);
    let (entity, _) = read(Dialect::Mysql, &proposal);
    let upsert = entity["upsert"].to_string();
    assert!(upsert.contains("VALUES (:oa_id, :job_number, :name)"), "{upsert}");
}

#[test]
fn an_unchanged_row_stays_and_the_key_of_a_new_one_is_told() {
    let columns = [key("id", "bigint", true), column("name", "text"), column("updated_at", "timestamp")];
    let upsert = |engine| {
        let proposal = propose(engine, "staff", "", &columns);
        let (entity, _) = read(engine, &proposal);
        entity["upsert"].as_str().expect("one statement").to_owned()
    };
    assert_eq!(
        upsert(Dialect::Mysql),
        "INSERT INTO staff (id, name, updated_at)\nVALUES (:oa_id, :name, :updated_at)\n\
         ON DUPLICATE KEY UPDATE\n  name = VALUES(name),\n  updated_at = VALUES(updated_at)"
    );
    let rest = "ON CONFLICT (id) DO UPDATE SET\n  name = excluded.name,\n  updated_at = excluded.updated_at\n\
                WHERE (present.name)\n  IS DISTINCT FROM\n  (excluded.name)\nRETURNING id";
    assert_eq!(
        upsert(Dialect::Sqlite),
        format!(
            "INSERT INTO staff AS present (id, name, updated_at)\nVALUES (:oa_id, :name, :updated_at)\n{rest}"
        )
    );
    assert_eq!(
        upsert(Dialect::Postgres),
        format!(
            "INSERT INTO staff AS present (id, name, updated_at)\n\
             VALUES (COALESCE(:oa_id, nextval(pg_get_serial_sequence('staff', 'id'))), :name, :updated_at)\n{rest}"
        )
    );
}

#[test]
fn where_other_columns_are_unique_nobody_elses_row_is_written() {
    let mobile = TableColumn { is_unique: true, ..column("mobile", "varchar(20)") };
    let columns = [key("id", "bigint", true), column("name", "varchar(20)"), mobile];
    let proposal = propose(Dialect::Mysql, "staff", "", &columns);
    let (entity, _) = read(Dialect::Mysql, &proposal);
    let upsert: Vec<&str> =
        entity["upsert"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(
        upsert,
        [
            "INSERT INTO staff (id, name, mobile)\nSELECT :oa_id, :name, :mobile\nFROM DUAL WHERE :oa_id IS NULL",
            "UPDATE staff SET\n  name = :name,\n  mobile = COALESCE(:mobile, mobile)\nWHERE id = :oa_id",
        ]
    );
}

#[test]
fn what_is_not_known_is_said() {
    let wanting =
        TableColumn { is_nullable: false, comment: "性别\n见字典".to_owned(), ..column("sex", "int") };
    let columns = [key("id", "int", false), column("name", "varchar(20)"), wanting, column("memo", "text")];
    let text = propose(Dialect::Mysql, "t_1", "", &columns).to_string();
    for part in [
        "# TODO nothing tells what the table holds",
        "# TODO sex (int) must have a value and has no default: add it to the upsert. 性别 见字典\n",
        "# TODO id is not generated",
        "# TODO no find",
        "# TODO rows of what is gone are deleted",
        "# Left alone: memo\n",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let state = propose(Dialect::Mysql, "t_user", "", &[key("id", "bigint", true), column("state", "int")]);
    assert!(!state.to_string().contains("delete ="), "{state}");
    assert!(state.to_string().contains("# TODO which value of state says"), "{state}");
}

#[test]
fn names_are_quoted_where_they_must_be() {
    let columns = [
        key("ID", "bigint", true),
        column("name", "text"),
        column("order", "int"),
        column("a\"b`\\c", "text"),
    ];
    let mut columns = columns.to_vec();
    columns[3].comment = "部门编码".to_owned();
    for (engine, parts) in [
        (Dialect::Mysql, ["INTO `group`.dept (ID,", "`order`", "`a\"b``\\c`"]),
        (Dialect::Sqlite, ["INTO \"group\".dept AS present (ID,", "\"order\"", "\"a\"\"b`\\c\""]),
        (Dialect::Postgres, ["INTO \"group\".dept AS present (\"ID\",", "\"order\"", "\"a\"\"b`\\c\""]),
    ] {
        let proposal = propose(engine, "group.dept", "", &columns);
        let (entity, _) = read(engine, &proposal);
        let upsert = entity["upsert"].as_str().expect("one statement");
        for part in parts {
            assert!(upsert.contains(part), "no {part} in\n{upsert}");
        }
    }
}

#[test]
fn rows_of_the_catalogue_become_columns() {
    let row = |cells: [&str; 9]| cells.map(|cell| (!cell.is_empty()).then(|| cell.to_owned())).to_vec();
    let rows = vec![
        row(["id", "bigint", "主键", "0", "0", "1", "1", "0", "用户"]),
        row(["phone", "varchar(20)", "", "1", "0", "0", "0", "1", "用户"]),
    ];
    let (comment, columns) = catalogue_columns(rows).expect("a table");
    assert_eq!(comment, "用户");
    assert_eq!(columns[0], TableColumn { comment: "主键".to_owned(), ..key("id", "bigint", true) });
    assert_eq!(columns[1], TableColumn { is_unique: true, ..column("phone", "varchar(20)") });
    assert_eq!(catalogue_columns(Vec::new()), None);
}

#[test]
fn the_mappings_that_are_delivered_name_what_there_is() {
    let ruoyi = include_str!("../../../deploy/apply/ruoyi.toml");
    let jeecgboot = include_str!("../../../deploy/apply/jeecgboot.toml");
    let hr = include_str!("../../../deploy/apply/hr.toml");
    for (engine, text) in
        [(Dialect::Mysql, ruoyi), (Dialect::Mysql, jeecgboot), (Dialect::Postgres, hr), (Dialect::Sqlite, hr)]
    {
        let file: toml::Table = toml::from_str(text).expect("TOML");
        let mapping = file["apply"]["oa"].as_table().expect("a table");
        for (part, entity) in mapping.iter().filter(|(_, value)| value.is_table()) {
            let part = Part::ALL.into_iter().find(|known| known.label() == part).expect("a part");
            for key in ["find", "upsert", "delete"] {
                let texts = match entity.get(key) {
                    Some(toml::Value::Array(texts)) => texts.clone(),
                    Some(text) => vec![text.clone()],
                    None => continue,
                };
                for text in texts {
                    let text = text.as_str().expect("a text");
                    check(engine, part, key, text);
                }
            }
        }
    }
}
