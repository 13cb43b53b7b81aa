-- What DingTalk says is gone and the deletion guard was asked about: one row for each object, until it is deleted or back.
CREATE TABLE IF NOT EXISTS dingsync_held (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id    VARCHAR(128) NOT NULL,
    -- department, employee, role_group or role.
    entity     VARCHAR(32) NOT NULL,
    entity_id  VARCHAR(191) NOT NULL,
    -- held; admitted: a comparison's, within the limits; approved, discarded: by a person; deleted: approved, and done.
    state      VARCHAR(32) NOT NULL,
    -- The run that found it gone; 0 for a read that belonged to none.
    run_id     BIGINT NOT NULL,
    found_at   BIGINT NOT NULL,
    decided_at BIGINT,
    -- `command line: USER`, or `token NAME`.
    decided_by VARCHAR(255),
    UNIQUE (corp_id, entity, entity_id),
    KEY dingsync_held_state (corp_id, state)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO dingsync_held (corp_id, entity, entity_id, state, run_id, found_at)
SELECT own.corp_id, object.kind, object.object_id, 'held', 0, COALESCE(object.read_at, 0)
FROM dingsync_object AS object JOIN dingsync_corp AS own ON own.corp = object.corp
WHERE object.standing = 4 AND object.kind IN ('department', 'employee');

-- Whoever counts deletions takes this row first, so that two processes do not both admit the last one.
CREATE TABLE IF NOT EXISTS dingsync_guard (
    corp_id VARCHAR(128) NOT NULL PRIMARY KEY,
    turn    BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a run has to say in words: what could not be read, what is out of sight, what was decided.
CREATE TABLE IF NOT EXISTS dingsync_run_note (
    id     BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    run_id BIGINT NOT NULL,
    kind   VARCHAR(32) NOT NULL,
    text   TEXT NOT NULL,
    KEY dingsync_run_note_run (run_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
