#include "export/http_client.h"

#include <curl/curl.h>

enum { DATE_MAX = 64 };

struct slice http_answer_header(const struct http_answer *a, const char *name)
{
    const char *at = (const char *)a->headers.data, *end = at + a->headers.len;
    size_t len = strlen(name);
    struct slice found = {0};

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((line_end ? line_end : end) - at);

        if (line > len && memcmp(at, name, len) == 0 && at[len] == ':') {
            const char *value = at + len + 1, *value_end = at + line;

            while (value < value_end && *value == ' ')
                value++;
            found = slice_make(value, (size_t)(value_end - value));
        }
        at += line + 1;
    }
    return found;
}

bool http_date(struct slice value, int64_t *unix_s)
{
    char text[DATE_MAX];

    if (value.len == 0 || value.len >= sizeof(text))
        return false;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    *unix_s = curl_getdate(text, NULL);
    return *unix_s >= 0;
}
