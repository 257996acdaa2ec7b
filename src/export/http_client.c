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

bool http_number(struct slice value, uint64_t *number)
{
    uint64_t n = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9' || n > 1000000000)
            return false;
        n = n * 10 + (uint64_t)(value.data[i] - '0');
    }
    *number = n;
    return value.len > 0;
}

bool http_answer_retry_after(const struct http_answer *a, uint64_t unix_ns, uint64_t *after_ns)
{
    struct slice value = http_answer_header(a, "retry-after");
    uint64_t seconds;
    int64_t date;

    *after_ns = 0;
    if (http_number(value, &seconds))
        *after_ns = seconds * NS_PER_S;
    else if (http_date(value, &date) && (uint64_t)date <= UINT64_MAX / NS_PER_S &&
             (uint64_t)date * NS_PER_S > unix_ns)
        *after_ns = (uint64_t)date * NS_PER_S - unix_ns;
    return *after_ns > 0;
}
