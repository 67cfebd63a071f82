-- What was done about dead letters by `songlo dlq`; a letter without an action is open. Nothing is ever deleted.
-- 'replaying' is written before an event is sent again and 'replayed' afterwards: a letter that stays at
-- 'replaying' may have been sent. `sent` is what was sent, with the partition it went to: sent a second time, it
-- counts once only where its id, its time and its partition are the same.
CREATE TABLE IF NOT EXISTS dead_letter_actions
(
    topic          LowCardinality(String),
    partition      UInt16,
    epoch          UInt16,
    offset         UInt64,
    `index`        UInt32,
    at             DateTime64(3, 'Asia/Ho_Chi_Minh'),
    state          LowCardinality(String),
    note           String,
    sent           String CODEC(ZSTD(1)),
    sent_partition UInt16
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, epoch, offset, `index`, at, state)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Each dead letter with what was done last about it: open, replaying, replayed or discarded.
CREATE OR REPLACE VIEW dead_letter_states AS
SELECT
    d.stream AS stream,
    d.topic AS topic,
    d.partition AS partition,
    d.epoch AS epoch,
    d.offset AS offset,
    d.`index` AS `index`,
    d.append_time AS append_time,
    d.field AS field,
    d.reason AS reason,
    d.raw AS raw,
    if(a.last.2 = '', 'open', a.last.2) AS state,
    a.last.1 AS acted_at,
    a.last.3 AS note,
    a.last.4 AS sent,
    a.last.5 AS sent_partition
FROM (SELECT * FROM dead_letters FINAL) AS d
LEFT JOIN
(
    SELECT
        topic, partition, epoch, offset, `index`,
        argMax((at, toString(state), note, sent, sent_partition), (at, state)) AS last
    FROM dead_letter_actions
    GROUP BY topic, partition, epoch, offset, `index`
) AS a
ON a.topic = d.topic AND a.partition = d.partition AND a.epoch = d.epoch AND a.offset = d.offset AND a.`index` = d.`index`
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Those that still wait for somebody.
CREATE OR REPLACE VIEW dead_letters_open AS
SELECT stream, topic, partition, epoch, offset, `index`, append_time, field, reason, raw, state
FROM dead_letter_states
WHERE state IN ('open', 'replaying');
