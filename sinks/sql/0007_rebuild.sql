-- Rebuilt windows (`songlo rebuild`): rows without events stand over rows that are no more, with a higher version, so
-- that a replay can't bring those back. Views leave them out.

-- How many events more a rebuilt window holds than the workers' counters have counted: not 0 where a changed
-- definition takes or refuses other events than before, or where a gap in the log was accepted.
CREATE TABLE IF NOT EXISTS corrections
(
    topic        LowCardinality(String),
    partition    UInt16,
    window_start DateTime('Asia/Ho_Chi_Minh'),
    version      UInt64,
    events       Int64,
    corrected_at DateTime64(3, 'Asia/Ho_Chi_Minh') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (topic, partition, window_start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Speeds in km/h; percentiles by nearest rank on the merged histogram, within 1 % of the true one.
CREATE OR REPLACE VIEW camera_minute AS
WITH
    sumMap(w.speed_buckets, w.speed_weights) AS speeds,
    arrayCumSum(speeds.2) AS ranks
SELECT
    window_start,
    window_seconds,
    camera_id,
    ward_code,
    kind,
    object_class,
    violation_code,
    direction,
    sum(w.events) AS events,
    sum(w.objects) AS objects,
    if(sum(w.speed_count) = 0, NULL, sum(w.speed_sum) / sum(w.speed_count) / 1000) AS speed_avg,
    if(sum(w.speed_count) = 0, NULL, max(w.speed_max) / 1000) AS speed_max,
    if(empty(ranks), NULL, least(speeds.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 50, ranks)], max(w.speed_max)) / 1000) AS speed_p50,
    if(empty(ranks), NULL, least(speeds.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 85, ranks)], max(w.speed_max)) / 1000) AS speed_p85,
    countIf(w.late_id != 0) AS late_events
FROM camera_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, camera_id, ward_code, kind, object_class, violation_code, direction
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Durations in seconds; percentiles by nearest rank on the merged histogram, within 1 % of the true one.
CREATE OR REPLACE VIEW service_minute AS
WITH
    sumMap(w.duration_buckets, w.duration_weights) AS durations,
    arrayCumSum(durations.2) AS ranks
SELECT
    window_start,
    window_seconds,
    office_code,
    ward_code,
    procedure_code,
    channel,
    action,
    sum(w.events) AS events,
    sum(w.fee_vnd) AS fee_vnd,
    sum(w.on_time) AS on_time,
    sum(w.overdue) AS overdue,
    if(sum(w.duration_count) = 0, NULL, sum(toUInt128(w.duration_sum)) / sum(w.duration_count) / 1000) AS duration_avg_s,
    if(empty(ranks), NULL, least(durations.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 50, ranks)], max(w.duration_max)) / 1000) AS duration_p50_s,
    if(empty(ranks), NULL, least(durations.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 95, ranks)], max(w.duration_max)) / 1000) AS duration_p95_s,
    countIf(w.late_id != 0) AS late_events
FROM service_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, office_code, ward_code, procedure_code, channel, action
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW qr_minute AS
SELECT
    window_start,
    window_seconds,
    merchant_id,
    merchant_category,
    ward_code,
    provider,
    sum(w.events) AS reports,
    sum(w.succeeded) AS succeeded,
    sum(w.failed) AS failed,
    sum(w.amount_vnd) AS amount_vnd,
    countIf(w.late_id != 0) AS late_events
FROM qr_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, merchant_id, merchant_category, ward_code, provider
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Events of wards that the reference table does not know: counted, and to be looked into.
CREATE OR REPLACE VIEW unknown_wards AS
SELECT
    s.name AS stream,
    w.ward_code AS ward_code,
    sum(w.events) AS events,
    min(w.window_start) AS first_window,
    max(w.window_start) AS last_window
FROM
(
    SELECT _table, ward_code, events, window_start FROM windows FINAL
) AS w
INNER JOIN streams AS s ON s.`table` = w._table
WHERE w.events > 0 AND w.ward_code NOT IN (SELECT wards.ward_code FROM wards)
GROUP BY s.name, w.ward_code
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- What progress accounts for against what the tables hold, by partition. Between the inserts of a flush, or
-- after a crash there, the tables are ahead: the verdict is 'ahead', and 'exact' after the next flush.
-- 'missing' must never be seen, unless rows were deleted by hand. Events on time and late ones are compared
-- together, since a rebuild makes them one.
CREATE OR REPLACE VIEW conservation AS
SELECT
    p.stream AS stream,
    p.topic AS topic,
    p.partition AS partition,
    p.folded + p.duplicates + p.late + p.dead AS events_read,
    p.folded AS folded,
    p.duplicates AS duplicates,
    p.late AS late,
    p.dead AS dead,
    w.folded AS folded_stored,
    w.late AS late_stored,
    d.dead AS dead_stored,
    c.events AS corrected,
    toInt128(folded_stored + late_stored) - toInt128(folded + late) - corrected AS excess,
    multiIf(
        excess < 0 OR dead_stored < dead, 'missing',
        excess > 0 OR dead_stored > dead, 'ahead',
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
    SELECT topic, partition, sum(events) AS events FROM corrections FINAL GROUP BY topic, partition
) AS c ON c.topic = p.topic AND c.partition = p.partition
SETTINGS do_not_merge_across_partitions_select_final = 1;
