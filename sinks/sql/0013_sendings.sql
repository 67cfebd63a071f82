-- Up to where strays were about to be sent home, written before they are. A partition whose progress is not there yet
-- was left in the middle of a flush: its strays may have come home and may have been counted there, so that it can't
-- be given other homes before a worker has finished the flush.
CREATE TABLE IF NOT EXISTS sendings
(
    topic       LowCardinality(String),
    partition   UInt16,
    epoch       UInt16,
    next_offset UInt64,
    version     UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (topic, partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
