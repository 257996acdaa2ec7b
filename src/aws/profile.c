/* The shared config and credentials files. */
#include "aws/settings.h"
#include "base/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

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

/* Without quotes around all of it: those of a command's words are its own. */
static struct slice unquoted(struct slice s)
{
    uint8_t quote = s.len >= 2 ? s.data[0] : 0;

    if ((quote == '"' || quote == '\'') &&
        memchr(s.data + 1, quote, s.len - 1) == s.data + s.len - 1)
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

/* Takes "key = value", or "key: value", apart. False: it is none. */
static bool split_pair(struct slice line, struct slice *key, struct slice *value)
{
    size_t len = 0;

    while (len < line.len && line.data[len] != '=' && line.data[len] != ':')
        len++;
    if (len == line.len)
        return false;
    *key = trim(slice_make(line.data, len));
    *value = unquoted(without_comment(trim(slice_make(line.data + len + 1, line.len - len - 1))));
    return true;
}

/* Calls for a line of a section: its key and value. Returns false at the end of the text. */
struct walk {
    struct slice rest;
    bool prefix;
    bool inside, met; /* in the section asked for; it was there at all */
    bool nests;       /* the key above has no value: indented lines are ("s3 =") */
    struct slice key, value;
};

static bool next_pair(struct walk *w, const char *section)
{
    while (w->rest.len) {
        struct slice line = take_line(&w->rest), trimmed = trim(line);
        bool other;

        if (!trimmed.len || *trimmed.data == '#' || *trimmed.data == ';')
            continue;
        if (*trimmed.data == '[') {
            w->inside = slice_is(section_name(trimmed, w->prefix, &other), section) && !other;
            w->met |= w->inside;
            w->nests = false;
            continue;
        }
        if (!w->inside || (w->nests && is_blank(*line.data)) ||
            !split_pair(trimmed, &w->key, &w->value))
            continue;
        w->nests = !w->value.len;
        return true;
    }
    return false;
}

static bool is_key(struct slice a, const char *key)
{
    return a.len == strlen(key) && strncasecmp((const char *)a.data, key, a.len) == 0;
}

struct slice ini_get(struct slice text, const char *section, const char *key, bool prefix)
{
    struct walk w = {.rest = text, .prefix = prefix};
    struct slice found = {0};

    while (next_pair(&w, section))
        if (is_key(w.key, key))
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

/* Behind the byte order mark that editors of Windows write. */
static struct slice without_mark(struct slice text)
{
    return text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0
               ? slice_make(text.data + 3, text.len - 3)
               : text;
}

static void read_into(const struct aws_settings *s, const char *variable, const char *name,
                      struct buf *out)
{
    const char *path = settings_env(s, variable), *home = settings_env(s, "HOME");
    char made[SETTINGS_TEXT_MAX];
    struct slice text;
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
    text = without_mark(slice_make(data, len));
    buf_append(out, text.data, text.len);
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
