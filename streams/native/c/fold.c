/*
 * The fold of one Kafka partition, compiled: the twin of streams/core/plain.py, for speed.
 *
 * One call folds record batches as they stand in the log: it parses the records (format v2, uncompressed),
 * scans each value's JSON, validates it, and adds the event to its row. All state of the open panes lives here: rows with
 * their totals, ids, the watermark, and the list of rows that wait to be flushed.
 *
 * The rule that keeps both engines equal: this code folds only what it is sure of. Everything else
 * (escapes, odd numbers, nested values, alphabets that it does not know, refusals, events from the future,
 * late events without ids, broken JSON) is handed over to Python, message by message and in order. Python decodes
 * and decides with the plain engine's own code, and brings valid events back through songlo_add.
 *
 * What a stream looks like (fields and their rules, dimensions, measures) comes as tables at creation;
 * nothing here knows a stream by name. C11 with GCC's and Clang's 128-bit integers; no other dependency.
 */

/* One unit, so that what a record passes through is inlined. */
#include "batches.h" /* songlo_fold, songlo_add */
#include "create.h"  /* songlo_new, songlo_free */
#include "flushed.h" /* songlo_closed, songlo_flushed */
#include "layout.h"  /* songlo_layout */
#include "output.h"  /* songlo_rows and what else waits */
