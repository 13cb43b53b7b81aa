-- Every write that somebody asked for, by whom and when: the command line, or a named token of the admin API.
CREATE TABLE IF NOT EXISTS dingsync_audit (
    id      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      BIGINT NOT NULL,
    corp_id VARCHAR(128) NOT NULL,
    -- `command line: USER`, or `token NAME`.
    who     VARCHAR(255) NOT NULL,
    action  VARCHAR(64) NOT NULL,
    -- JSON: what it was about. Ids and numbers, nothing personal.
    subject TEXT NOT NULL,
    KEY dingsync_audit_at (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
