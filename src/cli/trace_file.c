#include "cli/trace_file.h"

#include "otlp/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 256 << 20, SCRATCH_MAX = 1 << 30 };

static struct slice trim(struct slice text)
{
    while (text.len && isspace(text.data[0]))
        text = slice_make(text.data + 1, text.len - 1);
    while (text.len && isspace(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* The first line of *rest, which moves on. */
static struct slice take_line(struct slice *rest)
{
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct slice line = slice_make(rest->data, len);

    *rest = slice_make(rest->data + len + (end != NULL), rest->len - len - (end != NULL));
    return line;
}

/* The line that "at byte N" of a sentence is in. */
static unsigned line_of(struct slice json, const char *sentence)
{
    const char *at = strstr(sentence, "at byte ");
    size_t byte = at ? strtoul(at + strlen("at byte "), NULL, 10) : 0;
    unsigned line = 1;

    for (size_t i = 0; i < byte && i < json.len; i++)
        line += json.data[i] == '\n';
    return line;
}

static enum err fail_at(const char *path, unsigned line, const struct err_info *why, enum err err,
                        struct err_info *info)
{
    if (line == 0)
        return err_fail(info, err, "%s: %s", path, why->text);
    return err_fail(info, err, "%s:%u: %s", path, line, why->text);
}

static enum err read_lines(struct slice json, const char *path, struct buf *out,
                           struct err_info *info)
{
    struct err_info why;
    enum err err = ERR_OK;

    for (unsigned number = 1; json.len && err == ERR_OK; number++) {
        struct slice line = trim(take_line(&json));

        if (line.len)
            err = json_to_traces(line, out, SCRATCH_MAX, &why);
        if (err != ERR_OK)
            return fail_at(path, number, &why, err, info);
    }
    return ERR_OK;
}

/* One request in all of the file, else one in each line: if the first line is one. */
static enum err read_json(struct slice json, const char *path, struct buf *out,
                          struct err_info *info)
{
    struct slice rest = json, first = take_line(&rest);
    struct err_info why, ignored;
    size_t before = out->len;
    enum err err = json_to_traces(json, out, SCRATCH_MAX, &why);

    if (err != ERR_PARSE)
        return err == ERR_OK ? err : fail_at(path, 0, &why, err, info);
    if (trim(rest).len > 0 && json_to_traces(first, out, SCRATCH_MAX, &ignored) == ERR_OK) {
        out->len = before;
        return read_lines(json, path, out, info);
    }
    return fail_at(path, strstr(why.text, "at byte ") ? line_of(json, why.text) : 0, &why, err,
                   info);
}

enum err trace_text_read(struct slice text, const char *name, struct buf *out,
                         struct err_info *info)
{
    struct slice trimmed = trim(text);
    enum err err = ERR_OK;

    if (trimmed.len == 0)
        err = err_fail(info, ERR_PARSE, "%s: it is empty", name);
    else if (trimmed.data[0] == '{')
        err = read_json(text, name, out, info);
    else
        buf_append(out, text.data, text.len);
    if (err == ERR_OK && !buf_ok(out))
        err = err_fail(info, ERR_FULL, "%s: no memory for it", name);
    return err;
}

enum err trace_file_read(struct disk *disk, const char *path, struct buf *out,
                         struct err_info *info)
{
    char *data;
    size_t len;
    enum err err = disk_read_file(disk, path, FILE_BYTES_MAX, &data, &len, info);

    if (err != ERR_OK)
        return err;
    err = trace_text_read(slice_make(data, len), path, out, info);
    free(data);
    return err;
}
