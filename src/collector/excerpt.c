#include "collector/excerpt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 << 20, LINE_SHOWN = 160, BEFORE_SHOWN = 80 };

/* One line of the report, taken apart. */
struct place {
    char path[4096];
    unsigned long line;
    struct slice sentence;
};

/* ---- what the error says ---- */

static struct slice from(struct slice text, size_t at)
{
    return slice_make(text.data + at, text.len - at);
}

/* Where `word` begins in the text; its length if it does not. */
static size_t find(struct slice text, struct slice word)
{
    const uint8_t *at = word.len ? memmem(text.data, text.len, word.data, word.len) : NULL;

    return at ? (size_t)(at - text.data) : text.len;
}

static struct slice up_to(struct slice text, const char *ends)
{
    size_t len = 0;

    while (len < text.len && !strchr(ends, text.data[len]))
        len++;
    return slice_make(text.data, len);
}

static bool read_number(struct slice digits, unsigned long *number)
{
    *number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (!isdigit(digits.data[i]) || *number > FILE_MAX)
            return false;
        *number = *number * 10 + (unsigned long)(digits.data[i] - '0');
    }
    return *number > 0;
}

/* "PATH:LINE: SENTENCE"; a path may have colons in it. */
static bool take_apart(struct slice text, struct place *p)
{
    size_t colon = find(text, slice_str(".lua:")) + strlen(".lua");
    struct slice number, rest;

    if (colon + 1 >= text.len || colon >= sizeof(p->path))
        return false;
    rest = from(text, colon + 1);
    number = up_to(rest, ":");
    if (number.len == rest.len || !read_number(number, &p->line))
        return false;
    snprintf(p->path, sizeof(p->path), "%.*s", (int)colon, (const char *)text.data);
    p->sentence = from(rest, number.len + 1);
    return true;
}

/* What stands between `before` and one of `ends`; empty: nothing does. */
static struct slice word_behind(struct slice sentence, const char *before, const char *ends)
{
    size_t at = find(sentence, slice_str(before)) + strlen(before);

    return at < sentence.len ? up_to(from(sentence, at), ends) : slice_make(NULL, 0);
}

/* "tail_sampling.policies[2]" -> "policies" */
static struct slice last_of_path(struct slice key)
{
    key = up_to(key, "[");
    for (size_t i = key.len; i > 0; i--)
        if (key.data[i - 1] == '.')
            return from(key, i);
    return key;
}

/* ---- the word in the line ---- */

static bool is_of_word(uint8_t c)
{
    return isalnum(c) || c == '_';
}

/* As a whole word. *at: where. */
static bool stands_in(struct slice line, struct slice word, size_t *at)
{
    for (*at = 0; word.len && *at + word.len <= line.len; ++*at) {
        size_t end;

        *at += find(from(line, *at), word);
        end = *at + word.len;
        if (end > line.len)
            return false;
        if (!(*at > 0 && is_of_word(line.data[*at - 1]) && is_of_word(word.data[0])) &&
            !(end < line.len && is_of_word(line.data[end]) && is_of_word(word.data[word.len - 1])))
            return true;
    }
    return false;
}

/* The first of what the sentence names that stands in the line; else all of the line. */
static struct slice find_word(struct slice line, struct slice sentence, size_t *at)
{
    const struct slice words[] = {
        word_behind(sentence, " near '", "'"),
        last_of_path(word_behind(sentence, "unknown key ", " ;,")),
        word_behind(sentence, "'", "'"),
        word_behind(sentence, "\"", "\""),
        last_of_path(word_behind(sentence, " ", " ;,:")),
    };

    if (slice_is(words[0], "<eof>")) {
        *at = line.len;
        return slice_make(line.data + line.len, 0);
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (stands_in(line, words[i], at))
            return words[i];
    *at = 0;
    while (*at < line.len && isspace(line.data[*at]))
        ++*at;
    return from(line, *at);
}

/* ---- showing it ---- */

static void put_shown(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        buf_byte(out, text.data[i] < ' ' && text.data[i] != '\t' ? '?' : text.data[i]);
}

static bool begins_character(uint8_t c)
{
    return (c & 0xc0) != 0x80;
}

static void put_marks(struct buf *out, struct slice before, struct slice word)
{
    for (size_t i = 0; i < before.len; i++)
        if (before.data[i] == '\t')
            buf_byte(out, '\t');
        else if (begins_character(before.data[i]))
            buf_byte(out, ' ');
    buf_byte(out, '^');
    for (size_t i = 1; i < word.len; i++)
        if (begins_character(word.data[i]))
            buf_byte(out, '~');
    buf_byte(out, '\n');
}

static void put_line(struct buf *out, const struct place *p, struct slice line)
{
    char number[24];
    int width = snprintf(number, sizeof(number), "%lu", p->line);
    struct slice word;
    size_t at, begin;

    word = find_word(line, p->sentence, &at);
    begin = at > LINE_SHOWN - BEFORE_SHOWN ? at - BEFORE_SHOWN : 0;
    line = from(line, begin);
    line.len = line.len < LINE_SHOWN ? line.len : LINE_SHOWN;
    at -= begin;
    word.len = at + word.len > line.len ? line.len - at : word.len;
    buf_printf(out, "  %s | ", number);
    put_shown(out, line);
    buf_printf(out, "\n  %*s | ", width, "");
    put_marks(out, slice_make(line.data, at), word);
}

static struct slice nth_line(struct slice text, unsigned long n)
{
    while (n > 1 && text.len > 0) {
        struct slice line = up_to(text, "\n");

        text = from(text, line.len < text.len ? line.len + 1 : line.len);
        n--;
    }
    text = up_to(text, "\n");
    while (text.len > 0 && isspace(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Whether a URL in it may have a password: there is an @ behind its scheme. */
static bool names_somebody(struct slice line)
{
    struct slice url = from(line, find(line, slice_str("://")));

    return find(url, slice_str("@")) < url.len;
}

static void put_excerpt(struct disk *disk, const struct place *p, struct buf *out)
{
    struct slice line;
    char *text;
    size_t len;

    if (disk_read_file(disk, p->path, FILE_MAX, &text, &len, NULL) != ERR_OK)
        return;
    line = nth_line(slice_make(text, len), p->line);
    if (line.len > 0 && find(line, slice_str("secret")) == line.len && !names_somebody(line))
        put_line(out, p, line);
    free(text);
}

void excerpt_write(struct disk *disk, struct slice report, struct buf *out)
{
    struct place p;

    while (report.len > 0) {
        struct slice line = up_to(report, "\n");

        report = from(report, line.len < report.len ? line.len + 1 : line.len);
        buf_append(out, line.data, line.len);
        buf_byte(out, '\n');
        if (take_apart(line, &p))
            put_excerpt(disk, &p, out);
    }
}
