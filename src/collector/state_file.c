#include "collector/state_file.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BYTES = 256 << 20 };

/* ---- reading ---- */

static void read_file(struct state_file *f)
{
    uint64_t now_ns = clock_now_ns(f->clock), unix_ns = clock_unix_ns(f->clock);
    struct err_info info;
    char *data;
    size_t len;
    enum err err;

    if (disk_read_file(f->disk, f->path, MAX_BYTES, &data, &len, &info) != ERR_OK)
        return; /* the first start */
    err = cells_read(f->cells, slice_make(data, len), now_ns, unix_ns, &info);
    free(data);
    if (err != ERR_OK)
        log_event(LOG_WARN,
                  "the state of policies can't be read; limits, seen and counters begin "
                  "anew",
                  "file", f->path, "error", info.text);
}

void state_file_init(struct state_file *f, struct cells *cells, struct disk *disk,
                     const struct clock *clock, struct memory *memory, const char *folder)
{
    *f = (struct state_file){.cells = cells, .disk = disk, .clock = clock, .memory = memory};
    if (!folder)
        return;
    snprintf(f->path, sizeof(f->path), "%s/" STATE_FILE_NAME, folder);
    snprintf(f->new_path, sizeof(f->new_path), "%s.new", f->path);
    read_file(f);
}

/* ---- writing ---- */

static enum err write_new(const struct state_file *f, struct slice data, struct err_info *info)
{
    int fd;
    enum err err =
        f->disk->open(f->disk, f->new_path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, info);

    if (err != ERR_OK)
        return err;
    err = f->disk->pwrite(f->disk, fd, data.data, data.len, 0, info);
    f->disk->close(f->disk, fd);
    return err == ERR_OK ? f->disk->rename(f->disk, f->new_path, f->path, info) : err;
}

static void note(struct state_file *f, enum err err, const struct err_info *info)
{
    if (err != ERR_OK && !f->failed)
        log_event(LOG_WARN, "the state of policies can't be written; it is tried each second",
                  "file", f->path, "error", info->text);
    f->failed = err != ERR_OK;
}

void state_file_save(struct state_file *f)
{
    struct err_info info;
    struct buf out;
    enum err err = ERR_OK;

    if (!f->path[0] || (!f->failed && !cells_changed(f->cells)))
        return;
    buf_init(&out, MAX_BYTES, f->memory);
    cells_write(f->cells, clock_now_ns(f->clock), clock_unix_ns(f->clock), &out);
    err = buf_ok(&out) ? write_new(f, buf_slice(&out), &info)
                       : err_fail(&info, ERR_FULL, "no memory for it");
    note(f, err, &info);
    buf_fini(&out);
}

uint64_t state_file_step(struct state_file *f, uint64_t now_ns)
{
    if (!f->cells || cells_is_empty(f->cells))
        return NEVER_NS;
    if (now_ns >= f->due_ns) {
        cells_forget(f->cells, now_ns);
        state_file_save(f);
        f->due_ns = now_ns + NS_PER_S;
    }
    return f->due_ns;
}
