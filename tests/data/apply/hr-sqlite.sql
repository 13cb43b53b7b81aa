-- 一套普通的人事表（SQLite）。PostgreSQL 版在 hr.sql。
-- A plain HR schema on SQLite, with some local rows; hr.sql has the same for PostgreSQL.

CREATE TABLE hr_department (
  id           INTEGER       PRIMARY KEY AUTOINCREMENT,
  name         VARCHAR(100)  NOT NULL,
  parent_id    BIGINT        REFERENCES hr_department (id),
  path         VARCHAR(1000),
  sort_order   BIGINT        NOT NULL DEFAULT 0,
  manager_id   BIGINT,
  cost_center  VARCHAR(32),
  closed_at    TEXT,
  created_at   TEXT          NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at   TEXT
);

CREATE TABLE hr_employee (
  id             INTEGER       PRIMARY KEY AUTOINCREMENT,
  login_name     VARCHAR(64)   NOT NULL,
  full_name      VARCHAR(100)  NOT NULL CHECK (length(full_name) <= 100),
  employee_no    VARCHAR(32),
  mobile         VARCHAR(32),
  email          VARCHAR(100),
  job_title      VARCHAR(200),
  department_id  BIGINT        REFERENCES hr_department (id),
  manager_id     BIGINT        REFERENCES hr_employee (id),
  hired_on       DATE,
  status         VARCHAR(10)   NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'locked', 'left')),
  password_hash  VARCHAR(200),
  note           VARCHAR(500),
  created_at     TEXT          NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at     TEXT
);
-- 离职者的登录名可以再用。/ The login name of somebody who has left may be used again.
CREATE UNIQUE INDEX hr_employee_login ON hr_employee (login_name) WHERE status <> 'left';
CREATE INDEX hr_employee_number ON hr_employee (employee_no);
CREATE INDEX hr_employee_mobile ON hr_employee (mobile);

CREATE TABLE hr_department_member (
  employee_id    BIGINT       NOT NULL REFERENCES hr_employee (id),
  department_id  BIGINT       NOT NULL REFERENCES hr_department (id),
  duty           VARCHAR(10)  NOT NULL DEFAULT '成员',
  PRIMARY KEY (employee_id, department_id)
);

CREATE TABLE hr_role (
  id           INTEGER       PRIMARY KEY AUTOINCREMENT,
  code         VARCHAR(64)   NOT NULL UNIQUE,
  name         VARCHAR(100)  NOT NULL,
  is_active    BOOLEAN       NOT NULL DEFAULT TRUE,
  permissions  VARCHAR(1000)
);

CREATE TABLE hr_employee_role (
  employee_id  BIGINT  NOT NULL REFERENCES hr_employee (id),
  role_id      BIGINT  NOT NULL REFERENCES hr_role (id),
  PRIMARY KEY (employee_id, role_id)
);

-- 本地数据：管理员、外包人员，以及几位在接入钉钉之前就有记录的员工。
-- Local rows: an administrator, somebody whom DingTalk does not know, and people who were there before DingTalk.
INSERT INTO hr_department (id, name, cost_center) VALUES (1, '外包小组', 'C-900');

INSERT INTO hr_employee (id, login_name, full_name, employee_no, mobile, department_id, status, password_hash, note) VALUES
  (1, 'admin',  '管理员',   NULL, '13900000001', NULL, 'active', 'local-hash-1', '系统管理员'),
  (2, 'waibao', '外包人员', 'W-2', '13900000002', 1,    'active', 'local-hash-2', '钉钉里没有'),
  -- 登录名就是钉钉的 userid。/ The login name is DingTalk's userid.
  (3, '00021',  '旧名一',   NULL, NULL,          NULL, 'active', 'local-hash-3', '按登录名关联'),
  -- 手机号与钉钉一致；管理员锁定了他。/ The mobile is DingTalk's; an administrator has locked him.
  (4, 'pinyin', '旧名二',   NULL, '13000000223', NULL, 'locked', 'local-hash-4', '按手机号关联'),
  -- 两行同一个手机号：不猜。/ Two rows with one mobile: nothing is guessed.
  (5, 'first',  '重复一',   NULL, '13000000260', NULL, 'active', 'local-hash-5', '重复的记录'),
  (6, 'second', '重复二',   NULL, '13000000260', NULL, 'active', 'local-hash-6', '重复的记录');

INSERT INTO hr_department_member (employee_id, department_id) VALUES (2, 1);

INSERT INTO hr_role (id, code, name, permissions) VALUES (1, 'admin', '管理员', '*'), (2, 'staff', '员工', 'read');

INSERT INTO hr_employee_role (employee_id, role_id) VALUES (1, 1), (2, 2), (3, 2), (4, 2);
