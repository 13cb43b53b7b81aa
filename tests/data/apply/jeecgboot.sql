-- JeecgBoot 中 dingsync 会写的表：列、类型、长度、默认值、唯一键与字符集均与其 jeecgboot-mysql-5.7.sql 一致（3.8、3.9 版）。
-- The tables of JeecgBoot (3.8, 3.9) into which dingsync writes, with their types, lengths, defaults, unique keys and
-- character set, and some local rows.

CREATE TABLE sys_depart (
  id                  VARCHAR(32)  NOT NULL             COMMENT '主键',
  parent_id           VARCHAR(32)  DEFAULT NULL         COMMENT '上级机构，顶级为空串',
  depart_name         VARCHAR(100) NOT NULL             COMMENT '机构、部门名称',
  depart_name_en      VARCHAR(500) DEFAULT NULL         COMMENT '英文名',
  depart_name_abbr    VARCHAR(500) DEFAULT NULL         COMMENT '缩写',
  depart_order        INT          DEFAULT 0            COMMENT '排序',
  description         VARCHAR(500) DEFAULT NULL         COMMENT '描述',
  org_category        VARCHAR(10)  NOT NULL DEFAULT '1' COMMENT '机构类别：1 公司，2 部门，3 岗位，4 子公司',
  org_type            VARCHAR(10)  DEFAULT NULL         COMMENT '在树中的层级，从 1 起',
  org_code            VARCHAR(64)  NOT NULL             COMMENT '机构编码，每级三位，如 A01A03',
  mobile              VARCHAR(32)  DEFAULT NULL         COMMENT '手机号',
  fax                 VARCHAR(32)  DEFAULT NULL         COMMENT '传真',
  address             VARCHAR(100) DEFAULT NULL         COMMENT '地址',
  memo                VARCHAR(500) DEFAULT NULL         COMMENT '备注',
  status              VARCHAR(1)   DEFAULT NULL         COMMENT '状态：1 启用，0 不启用',
  del_flag            VARCHAR(1)   DEFAULT NULL         COMMENT '删除状态：0 正常，1 已删除',
  qywx_identifier     VARCHAR(100) DEFAULT NULL         COMMENT '企业微信的部门',
  ding_identifier     VARCHAR(100) DEFAULT NULL         COMMENT '钉钉的部门',
  create_by           VARCHAR(32)  DEFAULT NULL         COMMENT '创建人',
  create_time         DATETIME     DEFAULT NULL         COMMENT '创建时间',
  update_by           VARCHAR(32)  DEFAULT NULL         COMMENT '更新人',
  update_time         DATETIME     DEFAULT NULL         COMMENT '更新时间',
  tenant_id           INT          DEFAULT 0            COMMENT '租户',
  iz_leaf             TINYINT(1)   DEFAULT 0            COMMENT '是否叶子节点：1 是，0 否',
  position_id         VARCHAR(32)  DEFAULT NULL         COMMENT '职级',
  dep_post_parent_id  VARCHAR(32)  DEFAULT NULL         COMMENT '上级岗位',
  PRIMARY KEY (id),
  UNIQUE KEY uniq_depart_org_code (org_code),
  KEY idx_sd_parent_id (parent_id),
  KEY idx_sd_depart_order (depart_order)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COMMENT = '组织机构表';

CREATE TABLE sys_user (
  id                    VARCHAR(32)   NOT NULL     COMMENT '主键',
  username              VARCHAR(100)  DEFAULT NULL COMMENT '登录账号',
  realname              VARCHAR(100)  DEFAULT NULL COMMENT '真实姓名',
  password              VARCHAR(255)  DEFAULT NULL COMMENT '密码',
  salt                  VARCHAR(45)   DEFAULT NULL COMMENT '密码盐',
  avatar                VARCHAR(255)  DEFAULT NULL COMMENT '头像',
  birthday              DATETIME      DEFAULT NULL COMMENT '生日',
  sex                   TINYINT(1)    DEFAULT NULL COMMENT '性别：0 未知，1 男，2 女',
  email                 VARCHAR(45)   DEFAULT NULL COMMENT '电子邮件，唯一',
  phone                 VARCHAR(45)   DEFAULT NULL COMMENT '电话，唯一',
  org_code              VARCHAR(64)   DEFAULT NULL COMMENT '登录时所选机构的编码',
  status                TINYINT(1)    DEFAULT NULL COMMENT '状态：1 正常，2 冻结',
  del_flag              TINYINT(1)    DEFAULT NULL COMMENT '删除状态：0 正常，1 已删除',
  third_id              VARCHAR(100)  DEFAULT NULL COMMENT '第三方登录标识',
  third_type            VARCHAR(100)  DEFAULT NULL COMMENT '第三方类型',
  activiti_sync         TINYINT(1)    DEFAULT NULL COMMENT '是否同步到工作流引擎',
  work_no               VARCHAR(100)  DEFAULT NULL COMMENT '工号，唯一',
  telephone             VARCHAR(45)   DEFAULT NULL COMMENT '座机',
  create_by             VARCHAR(32)   DEFAULT NULL COMMENT '创建人',
  create_time           DATETIME      DEFAULT NULL COMMENT '创建时间',
  update_by             VARCHAR(32)   DEFAULT NULL COMMENT '更新人',
  update_time           DATETIME      DEFAULT NULL COMMENT '更新时间',
  user_identity         TINYINT(1)    DEFAULT NULL COMMENT '身份：1 普通成员，2 上级',
  depart_ids            VARCHAR(1000) DEFAULT NULL COMMENT '负责部门',
  client_id             VARCHAR(64)   DEFAULT NULL COMMENT '设备',
  login_tenant_id       INT           DEFAULT NULL COMMENT '上次登录选择的租户',
  bpm_status            VARCHAR(2)    DEFAULT NULL COMMENT '入职、离职流程状态',
  sign_enable           TINYINT(1)    DEFAULT NULL COMMENT '是否启用个性签名',
  sign                  VARCHAR(500)  DEFAULT NULL COMMENT '个性签名',
  main_dep_post_id      VARCHAR(32)   DEFAULT NULL COMMENT '主岗位',
  position_type         VARCHAR(32)   DEFAULT NULL COMMENT '职务（字典）',
  last_pwd_update_time  DATETIME      DEFAULT NULL COMMENT '上次修改密码的时间',
  sort                  INT           DEFAULT NULL COMMENT '排序',
  iz_hide_contact       VARCHAR(1)    DEFAULT NULL COMMENT '是否隐藏联系方式：0 否，1 是',
  PRIMARY KEY (id),
  UNIQUE KEY uniq_sys_user_work_no (work_no),
  UNIQUE KEY uniq_sys_user_username (username),
  UNIQUE KEY uniq_sys_user_phone (phone),
  UNIQUE KEY uniq_sys_user_email (email),
  KEY idx_su_status (status),
  KEY idx_su_del_flag (del_flag)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COMMENT = '用户表';

CREATE TABLE sys_user_depart (
  ID       VARCHAR(32) NOT NULL     COMMENT '主键',
  user_id  VARCHAR(32) DEFAULT NULL COMMENT '用户',
  dep_id   VARCHAR(32) DEFAULT NULL COMMENT '部门',
  PRIMARY KEY (ID),
  KEY idx_sud_user_id (user_id),
  KEY idx_sud_dep_id (dep_id),
  KEY idx_sud_user_dep_id (user_id, dep_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COMMENT = '用户部门表';

CREATE TABLE sys_role (
  id           VARCHAR(32)  NOT NULL     COMMENT '主键',
  role_name    VARCHAR(200) DEFAULT NULL COMMENT '角色名称',
  role_code    VARCHAR(100) NOT NULL     COMMENT '角色编码',
  description  VARCHAR(255) DEFAULT NULL COMMENT '描述',
  create_by    VARCHAR(32)  DEFAULT NULL COMMENT '创建人',
  create_time  DATETIME     DEFAULT NULL COMMENT '创建时间',
  update_by    VARCHAR(32)  DEFAULT NULL COMMENT '更新人',
  update_time  DATETIME     DEFAULT NULL COMMENT '更新时间',
  tenant_id    INT          DEFAULT 0    COMMENT '租户',
  PRIMARY KEY (id),
  UNIQUE KEY uniq_sys_role_role_code (role_code)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COMMENT = '角色表';

CREATE TABLE sys_user_role (
  id         VARCHAR(32) NOT NULL     COMMENT '主键',
  user_id    VARCHAR(32) DEFAULT NULL COMMENT '用户',
  role_id    VARCHAR(32) DEFAULT NULL COMMENT '角色',
  tenant_id  INT         DEFAULT 0    COMMENT '租户',
  PRIMARY KEY (id),
  KEY idx_sur_user_id (user_id),
  KEY idx_sur_role_id (role_id),
  KEY idx_sur_user_role_id (user_id, role_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COMMENT = '用户角色表';

-- 本地数据：管理员、本地机构，以及几位在接入钉钉之前就有账号的员工。
INSERT INTO sys_depart (id, parent_id, depart_name, org_category, org_type, org_code, del_flag, create_by, create_time, iz_leaf) VALUES
  ('c6d7cb4deeac411cb3384b1b00000001', '',                                 '本地公司', '1', '1', 'A01',    '0', 'admin', '2025-01-01 08:00:00', 0),
  ('c6d7cb4deeac411cb3384b1b00000002', 'c6d7cb4deeac411cb3384b1b00000001', '外包小组', '2', '2', 'A01A01', '0', 'admin', '2025-01-01 08:00:00', 1);

INSERT INTO sys_user (id, username, realname, password, salt, phone, work_no, status, del_flag, activiti_sync, user_identity, create_by, create_time) VALUES
  ('e9ca23d68d884d4ebb19d07800000001', 'admin',  '管理员',   'local-hash-1', 'local001', '13900000001', '00001',  1, 0, 1, 2, 'admin', '2025-01-01 08:00:00'),
  ('e9ca23d68d884d4ebb19d07800000002', 'waibao', '外包人员', 'local-hash-2', 'local002', '13900000002', 'W-0002', 1, 0, 1, 1, 'admin', '2025-01-01 08:00:00'),
  -- 账号就是钉钉的 userid。
  ('e9ca23d68d884d4ebb19d07800000003', '00021',  '旧名一',   'local-hash-3', 'local003', NULL,          NULL,     1, 0, 1, 1, 'admin', '2025-01-01 08:00:00'),
  -- 账号是拼音，手机号与钉钉一致；管理员冻结了他。
  ('e9ca23d68d884d4ebb19d07800000004', 'pinyin', '旧名二',   'local-hash-4', 'local004', '13000000223', NULL,     2, 0, 1, 1, 'admin', '2025-01-01 08:00:00');

INSERT INTO sys_user_depart (ID, user_id, dep_id) VALUES
  ('f0019fdebedb443c98dcb17d00000001', 'e9ca23d68d884d4ebb19d07800000001', 'c6d7cb4deeac411cb3384b1b00000001'),
  ('f0019fdebedb443c98dcb17d00000003', 'e9ca23d68d884d4ebb19d07800000003', 'c6d7cb4deeac411cb3384b1b00000002');

INSERT INTO sys_role (id, role_name, role_code, description, create_by, create_time) VALUES
  ('f6817f48af4fb3af11b9e8bf00000001', '管理员',   'admin', '系统管理员', 'admin', '2025-01-01 08:00:00'),
  ('f6817f48af4fb3af11b9e8bf00000002', '普通用户', 'test',  NULL,         'admin', '2025-01-01 08:00:00');

INSERT INTO sys_user_role (id, user_id, role_id) VALUES
  ('a1e7f94cb8d34ef1a3cf000000000001', 'e9ca23d68d884d4ebb19d07800000001', 'f6817f48af4fb3af11b9e8bf00000001'),
  ('a1e7f94cb8d34ef1a3cf000000000003', 'e9ca23d68d884d4ebb19d07800000003', 'f6817f48af4fb3af11b9e8bf00000002');
