-- Objects that `when` leaves out and that a person has let go, whatever the deletion guard says of so many at once.
CREATE TABLE IF NOT EXISTS dingsync_apply_let_go (
    id      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id VARCHAR(128) NOT NULL,
    -- department, employee or role.
    entity  VARCHAR(32) NOT NULL,
    ding_id VARCHAR(191) NOT NULL,
    UNIQUE (corp_id, entity, ding_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
