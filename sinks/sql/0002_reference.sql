-- The city's reference data, written whole by each `songlo migrate` from the packaged tables.

CREATE TABLE IF NOT EXISTS wards
(
    ward_code String,
    name      String,
    full_name String,
    kind      String,
    name_en   String
)
ENGINE = MergeTree
ORDER BY ward_code;

CREATE TABLE IF NOT EXISTS cameras
(
    camera_id String,
    ward_code String,
    name      String,
    place     String,
    direction String
)
ENGINE = MergeTree
ORDER BY camera_id;

CREATE TABLE IF NOT EXISTS procedures
(
    procedure_code String,
    name           String,
    field          String,
    days           UInt16,
    fee_vnd        UInt64
)
ENGINE = MergeTree
ORDER BY procedure_code;

CREATE TABLE IF NOT EXISTS merchants
(
    merchant_id       String,
    ward_code         String,
    merchant_category String,
    name              String
)
ENGINE = MergeTree
ORDER BY merchant_id;

CREATE TABLE IF NOT EXISTS offices
(
    office_code String,
    ward_code   String,
    name        String,
    level       String
)
ENGINE = MergeTree
ORDER BY office_code;

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
