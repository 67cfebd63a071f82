-- By which number of partitions the homes of a topic's events are reckoned, and whether strays are sent there: one row
-- for each decision, which holds for good. Whoever decides first wins: every insert carries a token of its topic, topic
-- id and change, and one whose token is known is dropped, so that two workers that meet a new topic at once come to
-- the same number. A copy of this table has no tokens: of rows of one decision the earliest holds.
-- It holds of partition p from offsets[p + 1] on, whose rows have this epoch or a later one.
CREATE TABLE IF NOT EXISTS homes
(
    topic      String,
    topic_id   String,
    change     UInt32,
    partitions UInt32,
    forward    Bool,
    epoch      UInt16,
    offsets    Array(UInt64),
    decided_at DateTime64(6, 'Asia/Ho_Chi_Minh') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (topic, topic_id, change)
SETTINGS non_replicated_deduplication_window = 1000000, fsync_after_insert = 1, fsync_part_directory = 1;

-- By which decision a partition is folded (homes 0: by none, each event counts where it is, as it did before there were
-- homes), how many strays were sent home, and how many events of others' homes were counted here.
ALTER TABLE progress ADD COLUMN IF NOT EXISTS homes UInt32 AFTER topic_id;
ALTER TABLE progress ADD COLUMN IF NOT EXISTS forward Bool DEFAULT true AFTER homes;
ALTER TABLE progress ADD COLUMN IF NOT EXISTS strays UInt64 AFTER forward;
ALTER TABLE progress ADD COLUMN IF NOT EXISTS away UInt64 AFTER strays;

-- folded + duplicates + late + dead + strays = events read since the partition's beginning. `away` is a part of these:
-- events that counted here, or were found to be repeats, though their home is another partition.
CREATE OR REPLACE VIEW stream_progress AS
SELECT
    stream,
    topic,
    partition,
    next_offset,
    fromUnixTimestamp64Milli(watermark_ms, 'Asia/Ho_Chi_Minh') AS watermark,
    folded,
    duplicates,
    late,
    dead,
    strays,
    away,
    updated_at
FROM progress FINAL;

-- As before, with strays in the balance. Where an event counted away from its home, or homes are not known, a repeat of
-- it may have counted in another partition: no more can be said then than 'exact if no repeats'.
CREATE OR REPLACE VIEW conservation AS
SELECT
    p.stream AS stream,
    p.topic AS topic,
    p.partition AS partition,
    p.folded + p.duplicates + p.late + p.dead + p.strays AS events_read,
    p.folded AS folded,
    p.duplicates AS duplicates,
    p.late AS late,
    p.dead AS dead,
    p.strays AS strays,
    p.away AS away,
    w.folded AS folded_stored,
    w.late AS late_stored,
    d.dead + n.noted AS dead_stored,
    c.events AS corrected,
    toInt128(folded_stored + late_stored) - toInt128(folded + late) - corrected AS excess,
    multiIf(
        excess < 0 OR dead_stored < dead, 'missing',
        excess > 0 OR dead_stored > dead, 'ahead',
        away > 0 OR (p.homes = 0 AND folded + duplicates + late > 0), 'exact if no repeats',
        'exact') AS verdict
FROM (SELECT * FROM progress FINAL) AS p
LEFT JOIN
(
    SELECT s.topic AS topic, partition, sumIf(events, late_id = 0) AS folded, sumIf(events, late_id != 0) AS late
    FROM (SELECT _table, partition, late_id, events FROM windows FINAL) AS rows
    INNER JOIN streams AS s ON s.`table` = rows._table
    GROUP BY s.topic, partition
) AS w ON w.topic = p.topic AND w.partition = p.partition
LEFT JOIN
(
    SELECT topic, partition, count() AS dead FROM dead_letters FINAL GROUP BY topic, partition
) AS d ON d.topic = p.topic AND d.partition = p.partition
LEFT JOIN
(
    SELECT topic, partition, sum(length(indexes) - length(fetched)) AS noted FROM noted_states GROUP BY topic, partition
) AS n ON n.topic = p.topic AND n.partition = p.partition
LEFT JOIN
(
    SELECT topic, partition, sum(events) AS events FROM corrections FINAL GROUP BY topic, partition
) AS c ON c.topic = p.topic AND c.partition = p.partition
SETTINGS do_not_merge_across_partitions_select_final = 1;
