-- 若依 RuoYi-Vue 中 dingsync 会写的表：列、类型、长度、默认值与键均与其 ry_*.sql 一致（2025 年以后的版本）。
-- The tables of RuoYi-Vue into which dingsync writes, with their types, lengths, defaults and keys, and some local rows.

CREATE TABLE sys_dept (
  dept_id      BIGINT       NOT NULL AUTO_INCREMENT COMMENT '部门编号',
  parent_id    BIGINT       DEFAULT 0               COMMENT '上级部门编号，顶级为 0',
  ancestors    VARCHAR(50)  DEFAULT ''              COMMENT '祖级列表，如 0,100,101',
  dept_name    VARCHAR(30)  DEFAULT ''              COMMENT '部门名称',
  order_num    INT          DEFAULT 0               COMMENT '显示顺序',
  leader       VARCHAR(20)  DEFAULT NULL            COMMENT '负责人',
  phone        VARCHAR(11)  DEFAULT NULL            COMMENT '联系电话',
  email        VARCHAR(50)  DEFAULT NULL            COMMENT '邮箱',
  status       CHAR(1)      DEFAULT '0'             COMMENT '状态：0 正常，1 停用',
  del_flag     CHAR(1)      DEFAULT '0'             COMMENT '删除标志：0 存在，2 删除',
  create_by    VARCHAR(64)  DEFAULT ''              COMMENT '创建者',
  create_time  DATETIME                             COMMENT '创建时间',
  update_by    VARCHAR(64)  DEFAULT ''              COMMENT '更新者',
  update_time  DATETIME                             COMMENT '更新时间',
  PRIMARY KEY (dept_id)
) ENGINE = InnoDB AUTO_INCREMENT = 200 DEFAULT CHARSET = utf8mb4 COMMENT = '部门表';

CREATE TABLE sys_user (
  user_id          BIGINT       NOT NULL AUTO_INCREMENT COMMENT '用户编号',
  dept_id          BIGINT       DEFAULT NULL            COMMENT '部门编号',
  user_name        VARCHAR(30)  NOT NULL                COMMENT '登录账号',
  nick_name        VARCHAR(30)  NOT NULL                COMMENT '昵称（姓名）',
  user_type        VARCHAR(2)   DEFAULT '00'            COMMENT '类型：00 系统用户',
  email            VARCHAR(50)  DEFAULT ''              COMMENT '邮箱',
  phonenumber      VARCHAR(11)  DEFAULT ''              COMMENT '手机号码',
  sex              CHAR(1)      DEFAULT '0'             COMMENT '性别：0 男，1 女，2 未知',
  avatar           VARCHAR(100) DEFAULT ''              COMMENT '头像地址',
  password         VARCHAR(100) DEFAULT ''              COMMENT '密码',
  status           CHAR(1)      DEFAULT '0'             COMMENT '账号状态：0 正常，1 停用',
  del_flag         CHAR(1)      DEFAULT '0'             COMMENT '删除标志：0 存在，2 删除',
  login_ip         VARCHAR(128) DEFAULT ''              COMMENT '最后登录 IP',
  login_date       DATETIME                             COMMENT '最后登录时间',
  pwd_update_date  DATETIME                             COMMENT '密码最后更新时间',
  create_by        VARCHAR(64)  DEFAULT ''              COMMENT '创建者',
  create_time      DATETIME                             COMMENT '创建时间',
  update_by        VARCHAR(64)  DEFAULT ''              COMMENT '更新者',
  update_time      DATETIME                             COMMENT '更新时间',
  remark           VARCHAR(500) DEFAULT NULL            COMMENT '备注',
  PRIMARY KEY (user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 100 DEFAULT CHARSET = utf8mb4 COMMENT = '用户信息表';

CREATE TABLE sys_role (
  role_id              BIGINT       NOT NULL AUTO_INCREMENT COMMENT '角色编号',
  role_name            VARCHAR(30)  NOT NULL                COMMENT '角色名称',
  role_key             VARCHAR(100) NOT NULL                COMMENT '权限字符',
  role_sort            INT          NOT NULL                COMMENT '显示顺序',
  data_scope           CHAR(1)      DEFAULT '1'             COMMENT '数据范围：1 全部，2 自定，3 本部门，4 本部门及以下，5 仅本人',
  menu_check_strictly  TINYINT(1)   DEFAULT 1               COMMENT '菜单树父子联动',
  dept_check_strictly  TINYINT(1)   DEFAULT 1               COMMENT '部门树父子联动',
  status               CHAR(1)      NOT NULL                COMMENT '状态：0 正常，1 停用',
  del_flag             CHAR(1)      DEFAULT '0'             COMMENT '删除标志：0 存在，2 删除',
  create_by            VARCHAR(64)  DEFAULT ''              COMMENT '创建者',
  create_time          DATETIME                             COMMENT '创建时间',
  update_by            VARCHAR(64)  DEFAULT ''              COMMENT '更新者',
  update_time          DATETIME                             COMMENT '更新时间',
  remark               VARCHAR(500) DEFAULT NULL            COMMENT '备注',
  PRIMARY KEY (role_id)
) ENGINE = InnoDB AUTO_INCREMENT = 100 DEFAULT CHARSET = utf8mb4 COMMENT = '角色信息表';

CREATE TABLE sys_user_role (
  user_id  BIGINT NOT NULL COMMENT '用户编号',
  role_id  BIGINT NOT NULL COMMENT '角色编号',
  PRIMARY KEY (user_id, role_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COMMENT = '用户和角色关联表';

-- 本地数据：管理员、一个本地部门，以及几位在接入钉钉之前就有账号的员工。
INSERT INTO sys_dept (dept_id, parent_id, ancestors, dept_name, order_num, leader, create_by, create_time) VALUES
  (100, 0,   '0',     '本地公司', 0, '管理员', 'admin', '2025-01-01 08:00:00'),
  (101, 100, '0,100', '外包小组', 1, NULL,     'admin', '2025-01-01 08:00:00');

INSERT INTO sys_user (user_id, dept_id, user_name, nick_name, phonenumber, password, status, create_by, create_time, remark) VALUES
  (1, 100, 'admin', '管理员',   '13900000001', 'local-hash-1', '0', 'admin', '2025-01-01 08:00:00', '超级管理员'),
  (2, 101, 'waibao', '外包人员', '13900000002', 'local-hash-2', '0', 'admin', '2025-01-01 08:00:00', '钉钉里没有'),
  -- 账号就是钉钉的 userid。
  (3, 100, '00021', '旧名一',   '',            'local-hash-3', '0', 'admin', '2025-01-01 08:00:00', '按账号关联'),
  -- 账号是拼音，手机号与钉钉一致；管理员停用了他。
  (4, 100, 'pinyin', '旧名二',  '13000000223', 'local-hash-4', '1', 'admin', '2025-01-01 08:00:00', '按手机号关联');

INSERT INTO sys_role (role_id, role_name, role_key, role_sort, data_scope, status, create_by, create_time, remark) VALUES
  (1, '超级管理员', 'admin',  1, '1', '0', 'admin', '2025-01-01 08:00:00', '超级管理员'),
  (2, '普通角色',   'common', 2, '2', '0', 'admin', '2025-01-01 08:00:00', '普通角色');

INSERT INTO sys_user_role (user_id, role_id) VALUES (1, 1), (2, 2), (3, 2), (4, 2);
