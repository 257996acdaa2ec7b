/* The shared config and credentials files. */
#include "aws/settings.h"
#include "base/disk.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice trim(struct slice s)
{
    while (s.len && is_blank(s.data[s.len - 1]))
        s.len--;
    while (s.len && is_blank(*s.data))
        s = slice_make(s.data + 1, s.len - 1);
    return s;
}

/* Takes the next line off `text`. */
static struct slice take_line(struct slice *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    struct slice line = slice_make(text->data, len);

    len += end != NULL;
    *text = slice_make(text->data + len, text->len - len);
    return line;
}

/* A comment begins at "#" or ";" behind a blank. */
static struct slice without_comment(struct slice value)
{
    for (size_t i = 1; i < value.len; i++)
        if ((value.data[i] == '#' || value.data[i] == ';') && is_blank(value.data[i - 1]))
            return trim(slice_make(value.data, i - 1));
    return value;
}

static struct slice unquoted(struct slice s)
{
    if (s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"')
        return slice_make(s.data + 1, s.len - 2);
    return s;
}

/* The name between the brackets of a section's line, without "profile"; `other`: it is a section of
 * another kind, or none. */
static struct slice section_name(struct slice line, bool prefix, bool *other)
{
    const uint8_t *end = memchr(line.data, ']', line.len);
    struct slice name =
        end ? trim(slice_make(line.data + 1, (size_t)(end - line.data) - 1)) : slice_make(NULL, 0);
    bool has_prefix =
        name.len > 8 && memcmp(name.data, "profile", 7) == 0 && is_blank(name.data[7]);

    *other = !end || (prefix && !has_prefix && !slice_is(name, "default"));
    if (prefix && has_prefix)
        name = trim(slice_make(name.data + 8, name.len - 8));
    return unquoted(name);
}

/* Calls for a line of a section: its key and value. Returns false at the end of the text. */
struct walk {
    struct slice rest;
    bool prefix;
    bool inside, met; /* in the section asked for; it was there at all */
    struct slice key, value;
};

static bool next_pair(struct walk *w, const char *section)
{
    while (w->rest.len) {
        struct slice line = take_line(&w->rest), trimmed = trim(line);
        const uint8_t *equals;
        bool other;

        if (!trimmed.len || *trimmed.data == '#' || *trimmed.data == ';')
            continue;
        if (*line.data == '[') {
            w->inside = slice_is(section_name(trimmed, w->prefix, &other), section) && !other;
            w->met |= w->inside;
            continue;
        }
        equals = memchr(trimmed.data, '=', trimmed.len);
        /* An indented line belongs to the value above it ("s3 ="). */
        if (!w->inside || !equals || is_blank(*line.data))
            continue;
        w->key = trim(slice_make(trimmed.data, (size_t)(equals - trimmed.data)));
        w->value = without_comment(
            trim(slice_make(equals + 1, trimmed.len - (size_t)(equals + 1 - trimmed.data))));
        return true;
    }
    return false;
}

struct slice ini_get(struct slice text, const char *section, const char *key, bool prefix)
{
    struct walk w = {.rest = text, .prefix = prefix};
    struct slice found = {0};

    while (next_pair(&w, section))
        if (slice_is(w.key, key))
            found = w.value;
    return found;
}

bool ini_has(struct slice text, const char *section, bool prefix)
{
    struct walk w = {.rest = text, .prefix = prefix};

    while (next_pair(&w, section))
        ;
    return w.met;
}

/* ---- the files ---- */

static void read_into(const struct aws_settings *s, const char *variable, const char *name,
                      struct buf *out)
{
    const char *path = settings_env(s, variable), *home = settings_env(s, "HOME");
    char made[SETTINGS_TEXT_MAX];
    char *data;
    size_t len;

    buf_init(out, SETTINGS_FILE_MAX, NULL);
    if (!path) {
        if (!home || snprintf(made, sizeof(made), "%s/.aws/%s", home, name) >= (int)sizeof(made))
            return;
        path = made;
    }
    if (disk_read_file(s->disk ? s->disk : disk_system(), path, SETTINGS_FILE_MAX, &data, &len,
                       NULL))
        return;
    buf_append(out, data, len);
    explicit_bzero(data, len);
    free(data);
}

void profiles_read(const struct aws_settings *s, struct profiles *p)
{
    read_into(s, "AWS_CONFIG_FILE", "config", &p->config);
    read_into(s, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &p->credentials);
}

static void forget(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_fini(b);
}

void profiles_fini(struct profiles *p)
{
    forget(&p->config);
    forget(&p->credentials);
}

struct slice profiles_get(const struct profiles *p, const char *profile, const char *key)
{
    struct slice found = ini_get(buf_slice(&p->credentials), profile, key, false);

    return found.len ? found : ini_get(buf_slice(&p->config), profile, key, true);
}

bool profiles_has(const struct profiles *p, const char *profile)
{
    return ini_has(buf_slice(&p->credentials), profile, false) ||
           ini_has(buf_slice(&p->config), profile, true);
}
