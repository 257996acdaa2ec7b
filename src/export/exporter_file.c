/* file: one OTLP/JSON request a line, appended to a file that is rotated by size: PATH, PATH.1, ...
 *
 * A line is written whole at the end that is known; what fails is written again at the same place,
 * so a full disk leaves no broken line between two good ones. Others may rotate the file too: one
 * that was renamed or removed is left, one that was emptied is filled from its start. */
#include "export/exporter.h"
#include "otlp/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_options {
    struct exporter_common common;
    const char *path;
    uint64_t max_size, max_files;
};

static const struct schema_field fields[] = {
    {.path = "path",
     .type = SCHEMA_STRING,
     .flags = SCHEMA_REQUIRED,
     .doc = "the file; its folder must be there",
     .offset = offsetof(struct file_options, path)},
    {.path = "max_size",
     .type = SCHEMA_SIZE,
     .fallback = "\"100MiB\"",
     .min = 1024,
     .doc = "the file is rotated before it is larger than this; a line is never cut",
     .offset = offsetof(struct file_options, max_size)},
    {.path = "max_files",
     .type = SCHEMA_INTEGER,
     .fallback = "5",
     .min = 1,
     .max = 1000,
     .doc = "so many files are kept, the one that grows included",
     .offset = offsetof(struct file_options, max_files)},
};

struct file {
    const struct file_options *options;
    struct exporter *exporter;
    struct disk *disk;
    int fd; /* -1: not open */
    uint64_t size;
    uint64_t rotating; /* so many files are still to be renamed; 0: no rotation is under way */
};

static const char *numbered(const struct file *f, uint64_t n, char *name, size_t size)
{
    if (n)
        snprintf(name, size, "%s.%llu", f->options->path, (unsigned long long)n);
    else
        snprintf(name, size, "%s", f->options->path);
    return name;
}

/* A line that was cut off by a crash is ended, so that the next one can be read. */
static enum err end_last_line(struct file *f, struct err_info *info)
{
    char last = '\n';
    size_t got;
    enum err result = ERR_OK;

    if (f->size)
        result = f->disk->pread(f->disk, f->fd, &last, 1, f->size - 1, &got, info);
    if (result != ERR_OK || last == '\n')
        return result;
    result = f->disk->pwrite(f->disk, f->fd, "\n", 1, f->size, info);
    f->size += result == ERR_OK;
    return result;
}

static void file_shut(struct file *f)
{
    if (f->fd >= 0)
        f->disk->close(f->disk, f->fd);
    f->fd = -1;
}

/* Goes by what others did to the open file: it is shut if it is not at its path any more. */
static enum err follow(struct file *f, struct err_info *info)
{
    uint64_t size;
    bool is_here;
    enum err result = f->disk->is_at(f->disk, f->fd, f->options->path, &is_here, info);

    if (result == ERR_OK && !is_here)
        file_shut(f);
    else if (result == ERR_OK)
        result = f->disk->size(f->disk, f->fd, &size, info);
    if (result != ERR_OK || !is_here || size >= f->size)
        return result;
    f->size = size;
    return end_last_line(f, info);
}

static enum err file_begin(struct file *f, struct err_info *info)
{
    enum err result = f->fd >= 0 ? follow(f, info) : ERR_OK;

    if (result != ERR_OK || f->fd >= 0)
        return result;
    result = f->disk->open(f->disk, f->options->path, O_RDWR | O_CREAT, 0600, &f->fd, info);
    if (result != ERR_OK) {
        f->fd = -1;
        return result;
    }
    result = f->disk->size(f->disk, f->fd, &f->size, info);
    if (result == ERR_OK)
        result = end_last_line(f, info);
    if (result != ERR_OK)
        file_shut(f);
    return result;
}

static bool is_there(struct file *f, const char *name)
{
    int fd;

    if (f->disk->open(f->disk, name, O_RDONLY, 0, &fd, NULL) != ERR_OK)
        return false;
    f->disk->close(f->disk, fd);
    return true;
}

/* PATH.n becomes PATH.n+1 from the oldest on. After an error it goes on where it was. */
static enum err rotate(struct file *f, struct err_info *info)
{
    char from[4096], to[4096];
    enum err result = ERR_OK;

    file_shut(f);
    if (f->options->max_files == 1)
        return f->disk->unlink(f->disk, f->options->path, info);
    if (!f->rotating)
        f->rotating = f->options->max_files - 1;
    for (; f->rotating && result == ERR_OK; f->rotating -= result == ERR_OK) {
        numbered(f, f->rotating - 1, from, sizeof(from));
        numbered(f, f->rotating, to, sizeof(to));
        result = f->disk->rename(f->disk, from, to, info);
        if (result != ERR_OK && !is_there(f, from))
            result = ERR_OK; /* there was nothing to rename */
    }
    return result;
}

static enum err append_line(struct file *f, struct slice line, struct err_info *info)
{
    enum err result = f->rotating ? rotate(f, info) : ERR_OK;

    if (result == ERR_OK)
        result = file_begin(f, info);
    if (result == ERR_OK && f->size && f->size + line.len > f->options->max_size) {
        result = rotate(f, info);
        if (result == ERR_OK)
            result = file_begin(f, info);
    }
    if (result == ERR_OK)
        result = f->disk->pwrite(f->disk, f->fd, line.data, line.len, f->size, info);
    if (result == ERR_OK)
        f->size += line.len;
    return result;
}

static void file_send(void *self, struct part *part, uint64_t now_ns)
{
    struct file *f = self;
    struct sent_result r = {.how = SENT_DELIVERED, .answered = true};
    struct err_info info = {.text = ""};
    struct buf line;
    enum err result;

    (void)now_ns;
    buf_init(&line, SIZE_MAX / 2, part->body.memory);
    result = json_from_body(part->batch->signal, buf_slice(&part->body), &line);
    buf_byte(&line, '\n');
    if (result == ERR_PARSE) {
        r.how = SENT_PERMANENT;
        snprintf(r.error, sizeof(r.error), "the %s can't be written as JSON",
                 otlp_signal_items(part->batch->signal));
    } else if (!buf_ok(&line)) {
        r = (struct sent_result){.how = SENT_RETRY, .error = "no memory for the JSON"};
    } else if (append_line(f, buf_slice(&line), &info) != ERR_OK) {
        r = (struct sent_result){.how = SENT_RETRY};
        snprintf(r.error, sizeof(r.error), "%.199s", info.text);
    }
    buf_fini(&line);
    exporter_sent(part, &r);
}

/* The folder that the file is made in, without the last slash. */
static void folder_of(const char *path, char *folder, size_t size)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(folder, size, ".");
    else
        snprintf(folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static enum err file_look(const void *options, struct err_info *info)
{
    const char *path = ((const struct file_options *)options)->path;
    char folder[4096];
    struct stat st;

    folder_of(path, folder, sizeof(folder));
    if (stat(path, &st) != 0) {
        if (access(folder, W_OK | X_OK) == 0)
            return ERR_OK;
        return err_fail(info, ERR_IO, "path \"%s\" can't be made in its folder %s: %s", path,
                        folder, strerror(errno));
    }
    if (S_ISDIR(st.st_mode))
        return err_fail(info, ERR_CONFIG, "path \"%s\" is a folder; allowed: a file", path);
    if (access(path, R_OK | W_OK) != 0)
        return err_fail(info, ERR_IO, "path \"%s\" can't be written to: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err file_open(struct exporter *x, const void *options, void **self,
                          struct err_info *info)
{
    struct file *f = calloc(1, sizeof(*f));
    struct err_info why;
    enum err result;

    if (!f)
        err_no_memory("a file exporter");
    *f = (struct file){.options = options, .exporter = x, .disk = x->owner->config.disk, .fd = -1};
    result = file_begin(f, &why);
    file_shut(f); /* whoever wrote before it may not have ended yet */
    if (result == ERR_OK) {
        *self = f;
        return ERR_OK;
    }
    free(f);
    return err_fail(info, result, "path: %.900s", why.text);
}

static void file_close(void *self)
{
    file_shut(self);
    free(self);
}

EXPORTER_TYPE(exporter_file, .name = "file", .doc = "appends OTLP/JSON lines to a file",
              .signals = EXPORTER_ALL_SIGNALS, .fields = fields,
              .field_count = sizeof(fields) / sizeof(fields[0]),
              .options_size = sizeof(struct file_options), .look = file_look, .open = file_open,
              .close = file_close, .send = file_send);
