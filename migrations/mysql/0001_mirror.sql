-- What the OA reads. Names and meanings are public: they change by addition only.
-- Each statement can be run again: a server without transactional DDL may be killed between two of them.

CREATE TABLE IF NOT EXISTS ding_corp (
    id                    BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id               VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    config_name           VARCHAR(255) NOT NULL COMMENT '配置中的名称 / name in the configuration',
    org_name              VARCHAR(255) NULL COMMENT '企业名称 / name of the organisation',
    bootstrap_state       VARCHAR(32) NOT NULL DEFAULT 'pending' COMMENT '首次拉取状态 / state of the first pull: pending, running, complete, failed',
    bootstrap_complete_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '首次拉取完成时间 / when the first pull was complete',
    last_reconcile_at     TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最近一次完整对账时间 / when everything was compared last',
    last_event_at         TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最近一次事件时间 / when the last event came',
    created_at            TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when the row was made',
    updated_at            TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最后变更时间 / when a value changed last',
    UNIQUE KEY ding_corp_key (corp_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '企业 / organisations';

CREATE TABLE IF NOT EXISTS ding_department (
    id                BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id           VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    dept_id           BIGINT NOT NULL COMMENT '部门 ID / department id',
    parent_id         BIGINT NULL COMMENT '父部门 ID，根部门（1）为 NULL / parent department; NULL for the root, 1',
    name              VARCHAR(255) NULL COMMENT '部门名称 / name',
    dept_order        BIGINT NULL COMMENT '排序，小的在前 / order, small first',
    manager_userids   JSON NULL COMMENT '部门主管 userid（JSON 数组） / managers (JSON array of userids)',
    source_identifier VARCHAR(255) NULL COMMENT '部门标识字段 / identifier given by another system',
    is_hidden         BOOLEAN NULL COMMENT '是否隐藏部门 / hidden from others',
    is_outer          BOOLEAN NULL COMMENT '本部门成员是否只能看到自己 / members see only themselves',
    brief             TEXT NULL COMMENT '部门简介 / description',
    code              VARCHAR(255) NULL COMMENT '部门编码 / code',
    owner_userid      VARCHAR(255) NULL COMMENT '企业群群主 userid / owner of the department group chat',
    deleted_at        TIMESTAMP(6) NULL DEFAULT NULL COMMENT '删除时间，NULL 表示有效 / gone since; NULL while current',
    created_at        TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when the row was made',
    updated_at        TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最后变更时间 / when a value changed last',
    UNIQUE KEY ding_department_key (corp_id, dept_id),
    KEY ding_department_parent (parent_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '部门 / departments';

CREATE TABLE IF NOT EXISTS ding_employee (
    id               BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id          VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    userid           VARCHAR(191) NOT NULL COMMENT '员工 userid / userid',
    unionid          VARCHAR(255) NULL COMMENT '员工 unionid / unionid',
    name             VARCHAR(255) NULL COMMENT '姓名 / name',
    mobile           VARCHAR(255) NULL COMMENT '手机号（不含国家码） / mobile without country prefix',
    state_code       VARCHAR(255) NULL COMMENT '手机号国家码 / country prefix of the mobile',
    telephone        VARCHAR(255) NULL COMMENT '分机号 / office telephone',
    email            VARCHAR(255) NULL COMMENT '邮箱 / e-mail',
    org_email        VARCHAR(255) NULL COMMENT '企业邮箱 / e-mail of the organisation',
    job_number       VARCHAR(255) NULL COMMENT '工号 / job number',
    title            VARCHAR(255) NULL COMMENT '职位 / title',
    work_place       VARCHAR(255) NULL COMMENT '办公地点 / place of work',
    remark           TEXT NULL COMMENT '备注 / remark',
    avatar           TEXT NULL COMMENT '头像地址 / URL of the picture',
    extension        JSON NULL COMMENT '扩展属性 / custom fields',
    hired_date       DATE NULL COMMENT '入职日期（上海时区） / day of hire in Asia/Shanghai',
    manager_userid   VARCHAR(255) NULL COMMENT '直属主管 userid / direct manager',
    main_dept_id     BIGINT NULL COMMENT '主部门 ID / main department',
    is_activated     BOOLEAN NULL COMMENT '是否已激活 / has activated DingTalk',
    is_admin         BOOLEAN NULL COMMENT '是否管理员 / is an administrator',
    is_boss          BOOLEAN NULL COMMENT '是否企业老板 / is the boss',
    is_senior        BOOLEAN NULL COMMENT '是否高管 / is a senior executive',
    is_mobile_hidden BOOLEAN NULL COMMENT '是否隐藏手机号 / mobile is hidden from colleagues',
    is_disabled      BOOLEAN NULL COMMENT '专属帐号是否停用 / dedicated account is switched off',
    detail_read_at   TIMESTAMP(6) NULL DEFAULT NULL COMMENT '首次读取详情时间，NULL 表示主管、角色、主部门尚未读取 / when manager, roles and main department were read first',
    gone_at          TIMESTAMP(6) NULL DEFAULT NULL COMMENT '钉钉返回该员工不存在的时间 / when DingTalk said that the person is gone',
    deleted_at       TIMESTAMP(6) NULL DEFAULT NULL COMMENT '删除时间，NULL 表示有效 / gone since; NULL while current',
    created_at       TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when the row was made',
    updated_at       TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最后变更时间 / when a value changed last',
    UNIQUE KEY ding_employee_key (corp_id, userid),
    KEY ding_employee_mobile (mobile),
    KEY ding_employee_job_number (job_number),
    KEY ding_employee_unionid (unionid),
    KEY ding_employee_manager (manager_userid),
    KEY ding_employee_current (corp_id, deleted_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '员工 / employees';

CREATE TABLE IF NOT EXISTS ding_employee_department (
    id           BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id      VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    userid       VARCHAR(191) NOT NULL COMMENT '员工 userid / userid',
    dept_id      BIGINT NOT NULL COMMENT '部门 ID / department id',
    is_leader    BOOLEAN NULL COMMENT '是否该部门主管 / leads the department',
    is_main      BOOLEAN NULL COMMENT '是否主部门 / is the main department',
    member_order BIGINT NULL COMMENT '部门内排序，大的在前 / order in the department, large first',
    title        VARCHAR(255) NULL COMMENT '在该部门的职位 / title there',
    work_place   VARCHAR(255) NULL COMMENT '在该部门的办公地点 / place of work there',
    UNIQUE KEY ding_employee_department_key (corp_id, userid, dept_id),
    KEY ding_employee_department_members (dept_id, userid)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '员工与部门关系 / memberships of employees in departments';

CREATE TABLE IF NOT EXISTS ding_role_group (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id    VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    group_id   BIGINT NOT NULL COMMENT '角色组 ID / group id',
    name       VARCHAR(255) NULL COMMENT '名称 / name',
    deleted_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '删除时间，NULL 表示有效 / gone since; NULL while current',
    created_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when the row was made',
    updated_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最后变更时间 / when a value changed last',
    UNIQUE KEY ding_role_group_key (corp_id, group_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '角色组 / role groups';

CREATE TABLE IF NOT EXISTS ding_role (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id    VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    role_id    BIGINT NOT NULL COMMENT '角色 ID / role id',
    group_id   BIGINT NULL COMMENT '所属角色组 ID / its group',
    name       VARCHAR(255) NULL COMMENT '名称 / name',
    deleted_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '删除时间，NULL 表示有效 / gone since; NULL while current',
    created_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when the row was made',
    updated_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最后变更时间 / when a value changed last',
    UNIQUE KEY ding_role_key (corp_id, role_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '角色 / roles';

CREATE TABLE IF NOT EXISTS ding_employee_role (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id         VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    userid          VARCHAR(191) NOT NULL COMMENT '员工 userid / userid',
    role_id         BIGINT NOT NULL COMMENT '角色 ID / role id',
    manage_dept_ids JSON NULL COMMENT '管理范围部门 ID（JSON 数组） / departments managed in the role (JSON array), where known',
    UNIQUE KEY ding_employee_role_key (corp_id, userid, role_id),
    KEY ding_employee_role_members (role_id, userid)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '员工与角色关系 / roles of employees';

CREATE TABLE IF NOT EXISTS ding_change (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id         VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    seq             BIGINT NOT NULL COMMENT '企业内递增序号，后出现的不会更小 / number within the organisation; a smaller one never appears later',
    entity          VARCHAR(32) NOT NULL COMMENT '对象类型 / department, employee, role_group or role',
    entity_id       VARCHAR(191) NOT NULL COMMENT '对象 ID / id of the object',
    action          VARCHAR(32) NOT NULL COMMENT '动作 / insert, update, delete or restore',
    old_values      JSON NULL COMMENT '变更前的值 / values before',
    new_values      JSON NULL COMMENT '变更后的值 / values after',
    cause           VARCHAR(32) NOT NULL COMMENT '原因 / event, bootstrap, reconcile, manual or push',
    event_id        VARCHAR(255) NULL COMMENT '钉钉事件 ID / eventId of the event',
    operator_userid VARCHAR(255) NULL COMMENT '操作人 userid / who made the change in DingTalk',
    changed_at      TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when it was written',
    UNIQUE KEY ding_change_key (corp_id, seq),
    KEY ding_change_entity (corp_id, entity, entity_id, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = '变更日志 / change log';

-- Current departments with their place in the tree. A department whose parent is not visible to the application
-- starts a path of its own; the root has level 0.
CREATE OR REPLACE VIEW ding_v_department AS
WITH RECURSIVE tree (corp_id, dept_id, full_name, id_path, level) AS (
    SELECT top.corp_id, top.dept_id, CAST(COALESCE(top.name, '') AS CHAR(4000)), CAST(top.dept_id AS CHAR(2000)), 0
    FROM ding_department AS top
    WHERE top.deleted_at IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM ding_department AS parent
          WHERE parent.corp_id = top.corp_id AND parent.dept_id = top.parent_id AND parent.deleted_at IS NULL
      )
    UNION ALL
    SELECT child.corp_id, child.dept_id, CONCAT(tree.full_name, '/', COALESCE(child.name, '')),
           CONCAT(tree.id_path, '/', child.dept_id), tree.level + 1
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
CREATE OR REPLACE VIEW ding_v_employee AS
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
