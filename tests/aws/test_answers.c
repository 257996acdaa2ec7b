/* What AWS's endpoints answer is read strictly, and within bounds. */
#include "aws/answer.h"
#include "aws/keys.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

typedef bool answer_fn(struct slice text, const char *path, struct buf *out);

/* What is at `path`, or NULL. */
static const char *read_by(answer_fn *fn, const char *text, const char *path)
{
    static char found[4096];
    struct buf out;
    bool ok;

    buf_init(&out, sizeof(found) - 1, NULL);
    ok = fn(slice_str(text), path, &out);
    CHECK(ok || out.len == 0);
    snprintf(found, sizeof(found), "%.*s", (int)out.len, (const char *)out.data);
    buf_fini(&out);
    return ok ? found : NULL;
}

static bool json(const char *text, const char *path, const char *expected)
{
    const char *found = read_by(answer_json, text, path);

    return expected ? found && strcmp(found, expected) == 0 : !found;
}

static bool xml(const char *text, const char *path, const char *expected)
{
    const char *found = read_by(answer_xml, text, path);

    return expected ? found && strcmp(found, expected) == 0 : !found;
}

static void json_texts_are_found_by_their_path(void)
{
    CHECK(json("{\"a\":\"1\",\"b\":{\"c\":\"2\"}}", "a", "1"));
    CHECK(json(" { \"b\" : { \"x\" : [1, {\"c\":\"no\"}], \"c\" : \"2\" } } ", "b/c", "2"));
    CHECK(json("{\"n\":-1.5e+3,\"t\":true,\"z\":null}", "n", "-1.5e+3"));
    CHECK(json("{\"n\":1,\"t\":true}", "t", "true"));
    CHECK(json("{\"n\":null,\"t\":\"null\"}", "n", NULL));
    CHECK(json("{\"n\":null,\"t\":\"null\"}", "t", "null"));
    CHECK(json("{\"a\":\"\"}", "a", ""));
    CHECK(json("{\"a\":\"x\",\"a\":\"y\"}", "a", "x"));
    CHECK(json("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\ud83d\\ude00\"}", "a",
               "\"\\/\b\f\n\r\tA\xc3\xa9\xf0\x9f\x98\x80"));
    CHECK(json("{\"ab\":\"1\"}", "a", NULL));
    CHECK(json("{\"a\":{\"b\":\"1\"}}", "b", NULL));
    CHECK(json("{\"a\":{\"b\":\"1\"}}", "a", NULL));
    CHECK(json("{\"a\":[\"1\"]}", "a", NULL));
}

static void json_that_is_not_whole_gives_nothing(void)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "{\"a\":\"1\"",
        "{\"a\":\"1\"}}",
        "{\"a\":\"1\"} x",
        "{\"a\":\"1\",}",
        "{\"a\":\"1\" \"b\":2}",
        "{\"a\":\"1\",\"b\":01}",
        "{\"a\":\"1\",\"b\":.5}",
        "{\"a\":\"1\",\"b\":1.}",
        "{\"a\":\"1\",\"b\":1e}",
        "{\"a\":\"1\",\"b\":tru}",
        "{\"a\":\"1\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{a:\"1\"}",
        "{'a':'1'}",
        "{\"a\":\"1\"",
        "[\"a\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":\"1\\",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(json(bad[i], "a", NULL));
}

static void xml_texts_are_found_by_their_path(void)
{
    CHECK(xml("<a><b>1</b></a>", "a/b", "1"));
    CHECK(xml("<?xml version=\"1.0\"?>\n<!-- <a> -->\n<a xmlns=\"x\" y='z'>\n<c/><b> 1 </b></a>\n",
              "a/b", "1"));
    CHECK(xml("<a><b>1</b><b>2</b></a>", "a/b", "1"));
    CHECK(
        xml("<a><b>x &amp;&lt;&gt;&quot;&apos;&#65;&#x42;<!-- - --></b></a>", "a/b", "x &<>\"'AB"));
    CHECK(xml("<a><b></b></a>", "a/b", ""));
    CHECK(xml("<a><b/></a>", "a/b", ""));
    CHECK(xml("<a><c><b>1</b></c></a>", "a/b", NULL));
    CHECK(xml("<a><b>1<c>2</c></b></a>", "a/b", NULL));
    CHECK(xml("<a><bb>1</bb></a>", "a/b", NULL));
    CHECK(xml("<aa><b>1</b></aa>", "a/b", NULL));
}

static void xml_that_is_not_whole_gives_nothing(void)
{
    static const char *const bad[] = {
        "",
        "x",
        "<a><b>1</b>",
        "<a><b>1</b></a><a/>",
        "<a><b>1</b></a>x",
        "<a><b>1</c></a>",
        "<a><b>1</a></b>",
        "<a><b>&nbsp;</b></a>",
        "<a><b>&</b></a>",
        "<a><b>&#0;</b></a>",
        "<a><b>&#x80;</b></a>",
        "<a><b>&#99999;</b></a>",
        "<!DOCTYPE a []><a><b>1</b></a>",
        "<a><b>1</b><!-- </a>",
        "<a><b>1</b><c x></c></a>",
        "<a><b>1</b><c x=1></c></a>",
        "<a><b>1</b><c x=\"1></c></a>",
        "<a><b>1</b><![CDATA[x]]></a>",
        "<a><b>1</b></a",
        "</a>",
        "<a><b>1</b>< c/></a>",
        "<a><b>1</b><?x?></a>",
        "<a/><b/>",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(xml(bad[i], "a/b", NULL));
}

/* `count` times `open`, then "x" and as many of `close`. */
static bool nested(answer_fn *fn, const char *open, const char *close, int count)
{
    struct buf text, out;
    bool ok;

    buf_init(&text, 1 << 20, NULL);
    buf_init(&out, 64, NULL);
    buf_str(&text, fn == answer_json ? "{\"x\":\"1\",\"y\":" : "<a><x>1</x>");
    for (int i = 0; i < count; i++)
        buf_str(&text, open);
    for (int i = 0; i < count; i++)
        buf_str(&text, close);
    buf_str(&text, fn == answer_json ? "}" : "</a>");
    ok = fn(buf_slice(&text), fn == answer_json ? "x" : "a/x", &out);
    buf_fini(&text);
    buf_fini(&out);
    return ok;
}

static void depth_and_length_are_bounded(void)
{
    struct buf text, out;

    CHECK(nested(answer_json, "[", "]", ANSWER_DEPTH_MAX - 1));
    CHECK(!nested(answer_json, "[", "]", ANSWER_DEPTH_MAX));
    CHECK(!nested(answer_json, "[", "]", 100000));
    CHECK(nested(answer_xml, "<e>", "</e>", ANSWER_DEPTH_MAX - 1));
    CHECK(!nested(answer_xml, "<e>", "</e>", ANSWER_DEPTH_MAX));

    buf_init(&text, 1 << 20, NULL);
    buf_init(&out, 8, NULL);
    buf_str(&text, "{\"a\":\"1\"}");
    while (text.len < ANSWER_BYTES_MAX)
        buf_byte(&text, ' ');
    CHECK(answer_json(buf_slice(&text), "a", &out));
    buf_byte(&text, ' ');
    buf_clear(&out);
    CHECK(!answer_json(buf_slice(&text), "a", &out));
    CHECK(!answer_json(slice_str("{\"a\":\"123456789\"}"), "a", &out) && out.len == 0);
    buf_fini(&text);
    buf_fini(&out);
}

static void times_are_read(void)
{
    static const struct {
        const char *text;
        uint64_t unix_s; /* 1: it is none */
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2020-01-01T00:00:00Z", 1577836800},
        {"2024-02-29T23:59:60Z", 1709251200},
        {"2024-05-06T07:08:09.123456Z", 1714979289},
        {"2024-05-06T09:08:09+02:00", 1714979289},
        {"2024-05-06T02:08:09-0500", 1714979289},
        {"9999-12-31T23:59:59Z", 253402300799},
        {"2023-02-29T00:00:00Z", 1},
        {"2024-13-01T00:00:00Z", 1},
        {"2024-05-06", 1},
        {"2024-05-06T07:08:09", 1},
        {"2024-05-06T24:00:00Z", 1},
        {"2024-05-06T07:08:09.Z", 1},
        {"2024-05-06T07:08:09Zx", 1},
        {"1969-12-31T23:59:59Z", 1},
        {"1970-01-01T00:00:00+01:00", 1},
        {"", 1},
        {"2024-5-6T07:08:09Z", 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t unix_s = 1;

        CHECK(answer_time(slice_str(cases[i].text), &unix_s) == (cases[i].unix_s != 1));
        CHECK(unix_s == cases[i].unix_s);
    }
}

static void keys_are_taken_whole_or_not_at_all(void)
{
    static struct keys k;

    CHECK(keys_from_json(&k,
                         slice_str("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":"
                                   "\"T\",\"Expiration\":\"2020-01-01T00:00:00Z\"}"),
                         "Token"));
    CHECK(strcmp(k.access, "A") == 0 && strcmp(k.secret, "S") == 0 && strcmp(k.session, "T") == 0);
    CHECK(k.expires_unix_s == 1577836800);
    CHECK(!keys_from_json(&k, slice_str("{\"AccessKeyId\":\"B\"}"), "Token"));
    CHECK(!keys_from_json(&k, slice_str("{\"AccessKeyId\":\"B\",\"SecretAccessKey\":\"a b\"}"),
                          "Token"));
    CHECK(!keys_from_json(&k, slice_str("{\"AccessKeyId\":\"B\",\"SecretAccessKey\":null}"),
                          "Token"));
    CHECK(!keys_from_json(&k, slice_str("{\"AccessKeyId\":null,\"SecretAccessKey\":\"S\"}"),
                          "Token"));
    CHECK(!keys_from_json(&k, slice_str("{\"AccessKeyId\":\"B\\nX: y\",\"SecretAccessKey\":\"S\"}"),
                          "Token"));
    CHECK(!keys_from_json(&k,
                          slice_str("{\"AccessKeyId\":\"B\",\"SecretAccessKey\":\"S\","
                                    "\"Expiration\":\"soon\"}"),
                          "Token"));
    CHECK(strcmp(k.access, "A") == 0 && k.expires_unix_s == 1577836800);
    CHECK(keys_from_json(&k,
                         slice_str("{\"AccessKeyId\":\"B\",\"SecretAccessKey\":\"S\","
                                   "\"Token\":null}"),
                         "Token"));
    CHECK(strcmp(k.access, "B") == 0 && k.session[0] == '\0' && k.expires_unix_s == UINT64_MAX);
    keys_forget(&k);
    CHECK(k.secret[0] == '\0');
}

int main(void)
{
    RUN(json_texts_are_found_by_their_path);
    RUN(json_that_is_not_whole_gives_nothing);
    RUN(xml_texts_are_found_by_their_path);
    RUN(xml_that_is_not_whole_gives_nothing);
    RUN(depth_and_length_are_bounded);
    RUN(times_are_read);
    RUN(keys_are_taken_whole_or_not_at_all);
    return DONE();
}
