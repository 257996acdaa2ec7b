/* What /metrics says of the journal: its memory, its files, and what the last start read back. */
#include "collector/parts.h"

static void write_waiting(struct metrics *m, const struct ledger *l)
{
    metrics_gauge(
        m, "moontail_journal_pinned_bytes",
        "Bytes of segments that hold spans that wait, in memory or on disk only: compare with "
        "moontail_pending_bytes.",
        (double)l->journal.pinned_bytes);
    metrics_counter(m, "moontail_journal_moved_spans_total",
                    "Spans copied out of segments that little else was alive in.",
                    l->sum.moved_spans);
    metrics_counter(m, "moontail_journal_moved_bytes_total", "Bytes of these copies.",
                    l->sum.moved_bytes);
}

static void write_memory(struct metrics *m, const struct journal_stats *s)
{
    metrics_family(m, "moontail_journal_bytes", METRIC_GAUGE,
                   "Bytes of segments in memory, by state.");
    metrics_sample(m, (double)s->live_bytes, "state", "live", (char *)0);
    metrics_sample(m, (double)s->free_bytes, "state", "free", (char *)0);
    metrics_sample(m, (double)s->outbox_bytes, "state", "outbox", (char *)0);
    metrics_sample(m, (double)s->packs_bytes, "state", "compressed", (char *)0);
    metrics_gauge(m, "moontail_journal_compressed_bytes",
                  "Bytes of live segments that are held compressed, to save memory, as they were.",
                  (double)s->packed_bytes);
    metrics_gauge(m, "moontail_journal_compressed_size_bytes",
                  "Bytes that these are compressed to.", (double)s->copies_bytes);
    metrics_counter(m, "moontail_journal_compressed_segments_total",
                    "Segments that were compressed.", s->packed);
    metrics_counter(m, "moontail_journal_expanded_segments_total",
                    "Segments that came back from that.", s->expanded);
    metrics_counter(m, "moontail_journal_unpacked_blocks_total",
                    "Pieces of them that were looked at without that.", s->unpacked);
    metrics_gauge(m, "moontail_journal_spilled_bytes",
                  "Bytes of live segments that are on disk only, to save memory.",
                  (double)s->spilled_bytes);
    metrics_counter(m, "moontail_journal_spilled_segments_total", "Segments that have left memory.",
                    s->spilled);
    metrics_counter(m, "moontail_journal_loaded_segments_total",
                    "Segments that came back to memory.", s->loaded);
}

static void write_files(struct metrics *m, const struct journal_stats *s)
{
    metrics_gauge(m, "moontail_journal_file_bytes", "Bytes of all files.", (double)s->file_bytes);
    metrics_gauge(m, "moontail_journal_file_max_bytes", "journal.max_size; 0: there are no files.",
                  (double)s->file_max_bytes);
    metrics_gauge(m, "moontail_journal_live_file_bytes",
                  "Bytes of files that hold what waits, what is queued, or decisions.",
                  (double)s->live_file_bytes);
    metrics_gauge(m, "moontail_journal_history_bytes",
                  "Bytes of files that hold decided data, and can still be read.",
                  (double)s->history_bytes);
    metrics_gauge(m, "moontail_journal_decisions", "Decisions that the log remembers.",
                  (double)s->decisions_logged);
    metrics_counter(m, "moontail_journal_written_bytes_total", "Bytes written to files.",
                    s->written_bytes);
    metrics_counter(m, "moontail_journal_syncs_total", "Times that files were synced.", s->syncs);
    metrics_family(m, "moontail_journal_errors_total", METRIC_COUNTER,
                   "Calls of the disk that failed.");
    metrics_sample(m, (double)s->write_errors, "operation", "write", (char *)0);
    metrics_sample(m, (double)s->sync_errors, "operation", "sync", (char *)0);
    metrics_gauge(m, "moontail_journal_refusing",
                  "1: requests are refused, because the disk is full or fails.", s->refusing);
}

static void write_recovery(struct metrics *m, const struct recovered *r)
{
    metrics_gauge(m, "moontail_recovery_seconds",
                  "How long the start read back what the files held.",
                  (double)r->ns / (double)NS_PER_S);
    metrics_gauge(m, "moontail_recovered_decisions", "Decisions that the start read back.",
                  (double)r->found.decisions);
    metrics_gauge(m, "moontail_recovered_bytes", "Bytes that the start read.",
                  (double)r->found.bytes);
    metrics_gauge(m, "moontail_recovery_damaged_frames",
                  "Frames that the start could not read: see `moontail fsck`.",
                  (double)r->found.damaged_frames);
    metrics_gauge(
        m, "moontail_recovery_unlogged_decisions",
        "Decisions that are known only until the outbox is sent: their log was lost, and the disk "
        "had no room for it.",
        (double)r->found.unlogged);
}

void metrics_write_journal(struct metrics *m, const struct ledger *l, const struct recovered *r)
{
    write_waiting(m, l);
    write_memory(m, &l->journal);
    write_files(m, &l->journal);
    write_recovery(m, r);
}
