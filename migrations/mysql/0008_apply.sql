-- Which row of the OA's is which object of DingTalk's. Public: the OA may read it.
CREATE TABLE IF NOT EXISTS ding_link (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT '行号 / number of the row',
    corp_id    VARCHAR(128) NOT NULL COMMENT '企业 CorpId / organisation (CorpId)',
    -- department, employee or role.
    entity     VARCHAR(32) NOT NULL COMMENT '对象类型 / department, employee or role',
    ding_id    VARCHAR(191) NOT NULL COMMENT '钉钉 ID / id in DingTalk',
    -- The key of the OA's row, as a text.
    oa_id      VARCHAR(191) NOT NULL COMMENT 'OA 主键 / key of the row in the OA',
    -- find, key or command.
    linked_by  VARCHAR(32) NULL COMMENT '来源 / find, key or command',
    -- The object is gone, and the OA's row was treated as the mapping says.
    removed_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '对象已离开且 OA 行已按映射处理的时间 / when the object was gone and the row was treated as the mapping says',
    created_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '写入时间 / when the row was made',
    updated_at TIMESTAMP(6) NULL DEFAULT NULL COMMENT '最后变更时间 / when a value changed last',
    UNIQUE KEY ding_link_key (corp_id, entity, ding_id),
    UNIQUE KEY ding_link_oa (corp_id, entity, oa_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT = 'OA 与钉钉的对应关系 / which row of the OA is which object of DingTalk';

-- How far the OA's own tables follow the change log: one row for each organisation.
CREATE TABLE IF NOT EXISTS dingsync_apply (
    corp_id       VARCHAR(128) NOT NULL PRIMARY KEY,
    -- The NAME of the table [apply.NAME].
    name          VARCHAR(255) NOT NULL,
    -- The last change that was applied.
    seq           BIGINT NOT NULL DEFAULT 0,
    -- waiting for the first pull, walking through the mirror, or following the log.
    phase         VARCHAR(32) NOT NULL DEFAULT 'waiting',
    -- Where the walk is: the entity, and the last object of it.
    walk_entity   VARCHAR(32),
    walk_after    VARCHAR(191),
    -- How many walks were asked for, and how many of these were begun.
    walks_wanted  BIGINT NOT NULL DEFAULT 0,
    walks_begun   BIGINT NOT NULL DEFAULT 0,
    -- A digest of the statements that the last walk ran.
    mapping       VARCHAR(64),
    -- Where the OA's tables are that the links speak of.
    place         VARCHAR(255),
    -- Why nothing gets on, where nothing does: away, read_only, denied, mismatch, busy, moved or elsewhere.
    trouble       VARCHAR(32),
    trouble_text  TEXT,
    trouble_since BIGINT,
    applied_at    BIGINT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Objects whose rows in the OA's tables are not yet as they are to be.
CREATE TABLE IF NOT EXISTS dingsync_apply_object (
    id        BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id   VARCHAR(128) NOT NULL,
    -- department, employee or role.
    entity    VARCHAR(32) NOT NULL,
    ding_id   VARCHAR(191) NOT NULL,
    -- due: to be applied; parked: the OA's database refuses it.
    state     VARCHAR(32) NOT NULL,
    -- Which statement was refused, such as employee.upsert, and in which words.
    statement VARCHAR(64),
    message   TEXT,
    attempts  BIGINT NOT NULL DEFAULT 0,
    -- 1 when a person has given it another row: what shows its key is due with it.
    rekeyed   BIGINT NOT NULL DEFAULT 0,
    -- How often it was marked: what is marked while it is being applied is applied once more.
    marks     BIGINT NOT NULL DEFAULT 0,
    since     BIGINT NOT NULL,
    UNIQUE (corp_id, entity, ding_id),
    KEY dingsync_apply_object_state (corp_id, state, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Memberships that were put into the OA's tables: only those are ever taken out again.
CREATE TABLE IF NOT EXISTS dingsync_apply_member (
    id       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id  VARCHAR(128) NOT NULL,
    -- employee_department or employee_role.
    entity   VARCHAR(32) NOT NULL,
    userid   VARCHAR(191) NOT NULL,
    -- The department's or the role's id.
    other_id BIGINT NOT NULL,
    UNIQUE (corp_id, entity, userid, other_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
