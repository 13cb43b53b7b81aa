-- What the OA reads. Names and meanings are public: they change by addition only.

CREATE TABLE ding_corp (
    id                    INTEGER PRIMARY KEY,
    corp_id               TEXT    NOT NULL,
    config_name           TEXT    NOT NULL,
    org_name              TEXT,
    bootstrap_state       TEXT    NOT NULL DEFAULT 'pending',
    bootstrap_complete_at TEXT,
    last_reconcile_at     TEXT,
    last_event_at         TEXT,
    created_at            TEXT    NOT NULL,
    updated_at            TEXT    NOT NULL,
    UNIQUE (corp_id)
);

CREATE TABLE ding_department (
    id                INTEGER PRIMARY KEY,
    corp_id           TEXT    NOT NULL,
    dept_id           INTEGER NOT NULL,
    parent_id         INTEGER,
    name              TEXT,
    dept_order        INTEGER,
    manager_userids   TEXT,
    source_identifier TEXT,
    is_hidden         BOOLEAN,
    is_outer          BOOLEAN,
    brief             TEXT,
    code              TEXT,
    owner_userid      TEXT,
    deleted_at        TEXT,
    created_at        TEXT    NOT NULL,
    updated_at        TEXT    NOT NULL,
    UNIQUE (corp_id, dept_id)
);
CREATE INDEX ding_department_parent ON ding_department (parent_id);

CREATE TABLE ding_employee (
    id               INTEGER PRIMARY KEY,
    corp_id          TEXT    NOT NULL,
    userid           TEXT    NOT NULL,
    unionid          TEXT,
    name             TEXT,
    mobile           TEXT,
    state_code       TEXT,
    telephone        TEXT,
    email            TEXT,
    org_email        TEXT,
    job_number       TEXT,
    title            TEXT,
    work_place       TEXT,
    remark           TEXT,
    avatar           TEXT,
    extension        TEXT,
    hired_date       TEXT,
    manager_userid   TEXT,
    main_dept_id     INTEGER,
    is_activated     BOOLEAN,
    is_admin         BOOLEAN,
    is_boss          BOOLEAN,
    is_senior        BOOLEAN,
    is_mobile_hidden BOOLEAN,
    is_disabled      BOOLEAN,
    detail_read_at   TEXT,
    gone_at          TEXT,
    deleted_at       TEXT,
    created_at       TEXT    NOT NULL,
    updated_at       TEXT    NOT NULL,
    UNIQUE (corp_id, userid)
);
CREATE INDEX ding_employee_mobile ON ding_employee (mobile);
CREATE INDEX ding_employee_job_number ON ding_employee (job_number);
CREATE INDEX ding_employee_unionid ON ding_employee (unionid);
CREATE INDEX ding_employee_manager ON ding_employee (manager_userid);
CREATE INDEX ding_employee_current ON ding_employee (corp_id, deleted_at) WHERE deleted_at IS NULL;

CREATE TABLE ding_employee_department (
    id           INTEGER PRIMARY KEY,
    corp_id      TEXT    NOT NULL,
    userid       TEXT    NOT NULL,
    dept_id      INTEGER NOT NULL,
    is_leader    BOOLEAN,
    is_main      BOOLEAN,
    member_order INTEGER,
    title        TEXT,
    work_place   TEXT,
    UNIQUE (corp_id, userid, dept_id)
);
CREATE INDEX ding_employee_department_members ON ding_employee_department (dept_id, userid);

CREATE TABLE ding_role_group (
    id         INTEGER PRIMARY KEY,
    corp_id    TEXT    NOT NULL,
    group_id   INTEGER NOT NULL,
    name       TEXT,
    deleted_at TEXT,
    created_at TEXT    NOT NULL,
    updated_at TEXT    NOT NULL,
    UNIQUE (corp_id, group_id)
);

CREATE TABLE ding_role (
    id         INTEGER PRIMARY KEY,
    corp_id    TEXT    NOT NULL,
    role_id    INTEGER NOT NULL,
    group_id   INTEGER,
    name       TEXT,
    deleted_at TEXT,
    created_at TEXT    NOT NULL,
    updated_at TEXT    NOT NULL,
    UNIQUE (corp_id, role_id)
);

CREATE TABLE ding_employee_role (
    id              INTEGER PRIMARY KEY,
    corp_id         TEXT    NOT NULL,
    userid          TEXT    NOT NULL,
    role_id         INTEGER NOT NULL,
    manage_dept_ids TEXT,
    UNIQUE (corp_id, userid, role_id)
);
CREATE INDEX ding_employee_role_members ON ding_employee_role (role_id, userid);

CREATE TABLE ding_change (
    id              INTEGER PRIMARY KEY,
    corp_id         TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    entity          TEXT    NOT NULL,
    entity_id       TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    old_values      TEXT,
    new_values      TEXT,
    cause           TEXT    NOT NULL,
    event_id        TEXT,
    operator_userid TEXT,
    changed_at      TEXT    NOT NULL,
    UNIQUE (corp_id, seq)
);
CREATE INDEX ding_change_entity ON ding_change (corp_id, entity, entity_id, seq);

-- Current departments with their place in the tree. A department whose parent is not visible to the application
-- starts a path of its own; the root has level 0.
CREATE VIEW ding_v_department AS
WITH RECURSIVE tree (corp_id, dept_id, full_name, id_path, level) AS (
    SELECT top.corp_id, top.dept_id, COALESCE(top.name, ''), CAST(top.dept_id AS TEXT), 0
    FROM ding_department AS top
    WHERE top.deleted_at IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM ding_department AS parent
          WHERE parent.corp_id = top.corp_id AND parent.dept_id = top.parent_id AND parent.deleted_at IS NULL
      )
    UNION ALL
    SELECT child.corp_id, child.dept_id, tree.full_name || '/' || COALESCE(child.name, ''),
           tree.id_path || '/' || child.dept_id, tree.level + 1
    FROM tree
    JOIN ding_department AS child
      ON child.corp_id = tree.corp_id AND child.parent_id = tree.dept_id AND child.deleted_at IS NULL
)
SELECT department.id, department.corp_id, department.dept_id, department.parent_id, department.name,
       tree.full_name, tree.id_path, tree.level, department.dept_order, department.manager_userids,
       department.source_identifier, department.is_hidden, department.is_outer, department.brief,
       department.code, department.owner_userid, department.created_at, department.updated_at
FROM tree
JOIN ding_department AS department
  ON department.corp_id = tree.corp_id AND department.dept_id = tree.dept_id;

-- Current people with the names that a page shows beside them.
CREATE VIEW ding_v_employee AS
SELECT employee.id, employee.corp_id, employee.userid, employee.unionid, employee.name, employee.mobile,
       employee.state_code, employee.telephone, employee.email, employee.org_email, employee.job_number,
       employee.title, employee.work_place, employee.remark, employee.avatar, employee.extension,
       employee.hired_date, employee.manager_userid, manager.name AS manager_name,
       employee.main_dept_id, department.name AS main_dept_name, department.full_name AS main_dept_full_name,
       employee.is_activated, employee.is_admin, employee.is_boss, employee.is_senior,
       employee.is_mobile_hidden, employee.is_disabled, employee.detail_read_at, employee.gone_at,
       employee.created_at, employee.updated_at
FROM ding_employee AS employee
LEFT JOIN ding_v_department AS department
  ON department.corp_id = employee.corp_id AND department.dept_id = employee.main_dept_id
LEFT JOIN ding_employee AS manager
  ON manager.corp_id = employee.corp_id AND manager.userid = employee.manager_userid AND manager.deleted_at IS NULL
WHERE employee.deleted_at IS NULL;
