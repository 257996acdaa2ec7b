/* Any bytes as what AWS's endpoints and files say. What is found is part of the text or shorter,
 * and what is not found leaves nothing behind. */
#include "aws/answer.h"
#include "aws/keys.h"
#include "aws/settings.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void find(bool (*fn)(struct slice, const char *, struct buf *), struct slice text,
                 const char *path)
{
    struct buf out;

    buf_init(&out, 1 << 20, NULL);
    buf_str(&out, "before");
    must(fn(text, path, &out) ? out.len <= 6 + text.len : out.len == 6);
    must(memcmp(out.data, "before", 6) == 0);
    buf_fini(&out);
}

static void is_within(struct slice part, struct slice text)
{
    must(part.len == 0 || (part.data >= text.data && part.data + part.len <= text.data + text.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keys keys;
    struct slice text = slice_make(data, size);
    uint64_t unix_s = 0;

    find(answer_json, text, "LogOptions/awslogs-group");
    find(answer_json, text, "AccessKeyId");
    find(answer_xml, text, "ErrorResponse/Error/Code");
    keys_forget(&keys);
    if (keys_from_json(&keys, text, "Token") ||
        keys_from_xml(&keys, text, "AssumeRoleResponse/AssumeRoleResult"))
        must(keys.access[0] && keys.secret[0]);
    else
        must(!keys.access[0] && !keys.secret[0]);
    must(!answer_time(text, &unix_s) || unix_s <= UINT64_C(253402300800) + 86400);
    is_within(ini_get(text, "a", "region", true), text);
    must(ini_has(text, "a", false) || ini_get(text, "a", "region", false).len == 0);
    settings_is_region(text);
    return 0;
}
