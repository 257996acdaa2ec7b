/* Opens the journal: from the configuration, and the names of what its files number. */
#include "collector/parts.h"

enum {
    UNPACK_SHARE = 32, /* of the limit, for a worker to look at what is compressed as it was */
};

/* A segment of the outbox is open all the time, so decisions need room for a second one. */
void build_hold_back(struct collector *c)
{
    if (c->segment_bytes == 0)
        c->segment_bytes = setup_segment_bytes(c->shared.config, c->shared.count);
    memory_hold_back(c->memory, c->segment_bytes + exporter_specs_request_bytes(c->exporters),
                     2 * c->segment_bytes);
}

/* ---- names ---- */

static size_t count_labels(void *labels)
{
    return labels_count(labels);
}

static void name_label(void *labels, uint16_t label, const char **policy, const char **reason)
{
    *policy = labels_policy(labels, label);
    *reason = labels_reason(labels, label);
}

static uint16_t number_label(void *labels, const char *policy, const char *reason)
{
    return labels_intern(labels, slice_str(policy), slice_str(reason));
}

static void find_names(struct collector *c)
{
    c->names = (struct journal_names){
        .arg = c->labels,
        .labels = count_labels,
        .label = name_label,
        .intern = number_label,
        .exporters = (const char *const *)c->exporter_names,
        .exporter_count = exporter_specs_count(c->exporters),
        .policies = c->loaded.policy_names,
        .policy_count = c->loaded.policies,
        .config_hash = c->shared.config->hash,
    };
}

/* ---- the folder ---- */

static const char *journal_path(const struct collector *c)
{
    return c->host.journal_path ? c->host.journal_path : c->shared.config->journal.path;
}

/* min_free as a share: it may be given in bytes. */
static enum err find_min_free(struct collector *c, double *share, struct err_info *info)
{
    struct disk *disk = c->host.disk;
    uint64_t free_bytes, total = 0;
    enum err err;

    *share = c->host.journal_path ? 0 : c->shared.config->journal.min_free;
    if (*share < 1)
        return ERR_OK;
    err = disk->mkdir(disk, journal_path(c), 0700, info);
    if (err == ERR_OK)
        err = disk->space(disk, journal_path(c), &free_bytes, &total, info);
    if (err == ERR_OK)
        *share = *share < (double)total ? *share / (double)total : 1;
    return err;
}

uint64_t build_wait_ns(const struct config *config)
{
    return config->tail.enabled ? config->tail.decision_wait_ns : NS_PER_S;
}

/* Younger segments of frames have many traces whose root came a moment ago. */
uint64_t build_young_ns(const struct config *config)
{
    return config->tail.enabled && config->tail.wait_after_root_ns
               ? config->tail.wait_after_root_ns + NS_PER_S / 4
               : 0;
}

static enum err open_journal(struct collector *c, struct err_info *info)
{
    const struct config *config = c->shared.config;
    struct journal_config j = {
        .workers = c->shared.count,
        .exporters = (unsigned)exporter_specs_count(c->exporters),
        .segment_bytes = c->segment_bytes,
        .memory = c->memory,
        .clock = c->host.clock,
        .compresses = strcmp(config->memory.compression, "none") != 0,
        .unpack_bytes = (size_t)c->memory->limit / c->shared.count / UNPACK_SHARE,
        .young_ns = build_young_ns(config),
        .moves_eagerly = c->host.moves_eagerly,
        .ack = c->shared.ack,
        .disk = c->host.disk,
        .path = journal_path(c),
        .file_bytes = c->descriptors.file_bytes,
        .fd_bound = c->descriptors.files,
        .max_bytes = config->journal.max_size,
        .history_bytes = config->journal.history,
        .wait_ns = build_wait_ns(config),
        .decision_cache = config->tail.decision_cache,
        .salt_seed = c->host.seed,
        .names = &c->names,
    };
    enum err err = ERR_OK;

    if (j.ack != ACK_MEMORY)
        err = find_min_free(c, &j.min_free, info);
    return err == ERR_OK ? journal_new(&j, &c->journal, info) : err;
}

/* Whether journal.min_free alone leaves no room: then `info` says so. */
static bool is_kept_free(const struct collector *c, struct err_info *info)
{
    struct disk *disk = c->host.disk;
    const char *path = journal_path(c);
    double wanted = c->host.journal_path ? 0 : c->shared.config->journal.min_free;
    double mib = 1 << 20, least = (double)journal_least_bytes(0, c->segment_bytes);
    uint64_t free_bytes, total;

    if (disk->space(disk, path, &free_bytes, &total, NULL) != ERR_OK)
        return false;
    if (wanted < 1)
        wanted *= (double)total;
    if ((double)free_bytes < least || (double)free_bytes - least >= wanted)
        return false;
    err_fill(info, ERR_IO,
             "journal.min_free keeps %.0fMiB free, and the file system of %s has %.0fMiB left of "
             "%.0fMiB: make room, write journal = { min_free = ... } with less, or a path on "
             "another file system",
             wanted / mib, path, (double)free_bytes / mib, (double)total / mib);
    return true;
}

enum err build_journal(struct collector *c, struct err_info *info)
{
    struct err_info why = {0};
    enum err err;

    err = setup_journal_fits(c->shared.config, c->shared.count, info);
    if (err == ERR_OK)
        err = setup_memory_fits(c->shared.config, c->shared.count, info);
    if (err == ERR_OK)
        err = descriptors_share(c->shared.config, c->shared.count, c->host.max_fds, &c->descriptors,
                                info);
    if (err != ERR_OK)
        return err;
    find_names(c);
    err = open_journal(c, &why);
    if (err == ERR_OK)
        return ERR_OK;
    if (err == ERR_FULL) /* the sentence says who has it */
        return err_fail(info, ERR_IO, "journal.path: %.900s", why.text);
    if (is_kept_free(c, info))
        return ERR_IO;
    return err_fail(info, ERR_IO,
                    "journal.path: %.700s; write journal = { path = ... } (or set STATE_DIRECTORY) "
                    "with a folder that this user may write, or journal = { ack = \"memory\" }",
                    why.text);
}

void build_state(struct collector *c)
{
    state_file_init(&c->state_file, c->cells, c->host.disk, c->host.clock, c->memory,
                    c->shared.ack == ACK_MEMORY ? NULL : journal_path(c));
}
