#include "aws/place.h"

#include <string.h>
#include <strings.h>

static struct slice until(struct slice text, const char *any_of)
{
    size_t len = 0;

    while (len < text.len && !strchr(any_of, text.data[len]))
        len++;
    return slice_make(text.data, len);
}

static struct slice after(struct slice text, size_t len)
{
    return slice_make(text.data + len, text.len - len);
}

static struct slice without_end(struct slice text, const char *end)
{
    size_t len = strlen(end);

    return text.len > len && memcmp(text.data + text.len - len, end, len) == 0
               ? slice_make(text.data, text.len - len)
               : text;
}

struct aws_place aws_place_of(const char *url)
{
    struct slice all = until(slice_str(url), "#"), rest;
    bool tls = strncasecmp(url, "https:", 6) == 0;
    size_t scheme = tls ? 8 : 7;
    struct aws_place p;

    if (all.len < scheme)
        scheme = all.len;
    p.host = until(after(all, scheme), "/?");
    p.origin = slice_make(all.data, scheme + p.host.len);
    rest = after(all, p.origin.len);
    p.path = until(rest, "?");
    p.query = rest.len > p.path.len ? after(rest, p.path.len + 1) : (struct slice){0};
    if (p.path.len == 0)
        p.path = slice_str("/");
    p.host = without_end(p.host, tls ? ":443" : ":80");
    return p;
}

struct slice aws_place_region(struct slice host)
{
    static const char *const ends[] = {".amazonaws.com", ".amazonaws.com.cn", ".api.aws"};
    struct slice name = until(host, ":");

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct slice left = without_end(name, ends[i]);
        size_t at = left.len;

        if (left.len == name.len)
            continue;
        while (at > 0 && left.data[at - 1] != '.')
            at--;
        left = after(left, at);
        if (left.len > 4 && left.data[left.len - 1] >= '1' && left.data[left.len - 1] <= '9' &&
            memchr(left.data, '-', left.len))
            return left; /* xy-place-1 */
    }
    return (struct slice){0};
}
