-- Erasures that were carried out to their end, so that they are not begun again at each start.
CREATE TABLE IF NOT EXISTS dingsync_retention (
    id      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id VARCHAR(128) NOT NULL,
    -- `excluded_fields`.
    task    VARCHAR(64) NOT NULL,
    -- What was erased: the names of the fields.
    detail  TEXT NOT NULL,
    done_at BIGINT NOT NULL,
    UNIQUE KEY dingsync_retention_key (corp_id, task)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What the group robot was told, so that each thing is told once, over restarts and replicas.
CREATE TABLE IF NOT EXISTS dingsync_notice (
    id       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id  VARCHAR(128) NOT NULL,
    topic    VARCHAR(64) NOT NULL,
    -- 1 from the message that it began until the one that it is over.
    is_open  BIGINT NOT NULL DEFAULT 0,
    -- How much of it there was when it was told last, or which run it was.
    told     BIGINT NOT NULL DEFAULT 0,
    told_at  BIGINT,
    -- When it was seen last.
    seen_at  BIGINT,
    -- Up to which change the log was looked at.
    position BIGINT,
    UNIQUE KEY dingsync_notice_key (corp_id, topic)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
