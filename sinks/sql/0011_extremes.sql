-- The largest fee of a window, and the largest and the smallest amount of a report. Of no value, as in the rows that are
-- there, the columns hold the end of Int64 that max and min pass by; views show NULL for it. `songlo rebuild` fills
-- in what the log still has.
ALTER TABLE service_windows ADD COLUMN IF NOT EXISTS fee_max_vnd Int64 DEFAULT -9223372036854775808 AFTER fee_vnd;

ALTER TABLE qr_windows ADD COLUMN IF NOT EXISTS amount_max_vnd Int64 DEFAULT -9223372036854775808 AFTER amount_vnd;
ALTER TABLE qr_windows ADD COLUMN IF NOT EXISTS amount_min_vnd Int64 DEFAULT 9223372036854775807 AFTER amount_max_vnd;

-- As before, with fee_max_vnd.
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
    nullIf(max(w.fee_max_vnd), toInt64(-9223372036854775808)) AS fee_max_vnd,
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

-- As before, with amount_max_vnd and amount_min_vnd.
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
    nullIf(max(w.amount_max_vnd), toInt64(-9223372036854775808)) AS amount_max_vnd,
    nullIf(min(w.amount_min_vnd), toInt64(9223372036854775807)) AS amount_min_vnd,
    countIf(w.late_id != 0) AS late_events
FROM qr_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, merchant_id, merchant_category, ward_code, provider
SETTINGS do_not_merge_across_partitions_select_final = 1;
