-- How far a run under way has read people one by one, and what it found: an interrupted one goes on from there.
CREATE TABLE IF NOT EXISTS dingsync_run_place (
    id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    run_id      BIGINT NOT NULL,
    -- The last of a batch, in the order of ids.
    last_userid VARCHAR(191) NOT NULL,
    -- Those of the batch who seem to differ, and those who are out of sight: JSON arrays of ids.
    differing   MEDIUMTEXT NOT NULL,
    hidden      MEDIUMTEXT NOT NULL,
    kept_at     BIGINT NOT NULL,
    KEY dingsync_run_place_run (run_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
