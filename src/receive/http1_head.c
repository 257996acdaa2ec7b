#include "receive/http1_head.h"

#include <strings.h>

bool slice_is_nocase(struct slice s, const char *text)
{
    return s.len == strlen(text) &&
           (s.len == 0 || strncasecmp((const char *)s.data, text, s.len) == 0);
}

bool media_type_is(struct slice value, const char *type)
{
    const uint8_t *semicolon = value.len ? memchr(value.data, ';', value.len) : NULL;
    struct slice essence = value;

    if (semicolon)
        essence.len = (size_t)(semicolon - value.data);
    while (essence.len &&
           (essence.data[essence.len - 1] == ' ' || essence.data[essence.len - 1] == '\t'))
        essence.len--;
    return slice_is_nocase(essence, type);
}

/* The line `line` without its line feed: ends in the only carriage return that it has. */
static bool line_is_clean(struct slice line)
{
    const uint8_t *cr = line.len ? memchr(line.data, '\r', line.len) : NULL;

    return cr && cr == line.data + line.len - 1;
}

/* A line must not begin with a blank: that would be a folded header (RFC 9112 section 5.2). */
static bool line_is_folded(struct slice line)
{
    return line.data[0] == ' ' || line.data[0] == '\t';
}

/* RFC 9110 section 5.6.2 */
static bool is_token(struct slice s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');

        if (!is_alnum && (c == 0 || !strchr(others, c)))
            return false;
    }
    return s.len > 0;
}

/* What no head begins with never becomes one, however long it is waited for: a client that speaks
 * TLS to a port without. */
static bool begins_a_head(struct slice bytes)
{
    return bytes.len == 0 || bytes.data[0] == '\r' || is_token(slice_make(bytes.data, 1));
}

enum head_state head_find(struct slice bytes, size_t max, size_t *scanned, size_t *end)
{
    size_t start = *scanned; /* of a line */

    if (start == 0 && !begins_a_head(bytes))
        return HEAD_BAD;
    while (start < bytes.len && start <= max) {
        const uint8_t *at = bytes.data + start;
        const uint8_t *lf = memchr(at, '\n', bytes.len - start);
        struct slice line;

        if (!lf)
            break;
        line = slice_make(at, (size_t)(lf - at));
        if (!line_is_clean(line) || line_is_folded(line))
            return HEAD_BAD;
        start += line.len + 1;
        if (line.len == 1) { /* the empty one */
            *end = start;
            return start > max ? HEAD_TOO_LARGE : HEAD_DONE;
        }
    }
    *scanned = start;
    return bytes.len > max ? HEAD_TOO_LARGE : HEAD_MORE;
}

/* "POST /v1/traces HTTP/1.1": one space between each (RFC 9112 section 3). */
static bool request_line_is_plain(struct slice bytes)
{
    const uint8_t *end = memchr(bytes.data, '\r', bytes.len);
    unsigned spaces = 0;

    for (const uint8_t *p = bytes.data; p < end; p++)
        spaces += *p == ' ';
    return spaces == 2;
}

/* The path of an origin-form or absolute-form target (RFC 9112 section 3.2). */
static struct slice path_of(struct slice target)
{
    static const char *const schemes[] = {"http://", "https://"};
    const uint8_t *mark = target.len ? memchr(target.data, '?', target.len) : NULL;

    if (mark)
        target.len = (size_t)(mark - target.data);
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(schemes[i]);

        if (target.len < len || strncasecmp((const char *)target.data, schemes[i], len) != 0)
            continue;
        mark = memchr(target.data + len, '/', target.len - len);
        return mark ? slice_make(mark, target.len - (size_t)(mark - target.data))
                    : slice_make("/", 1);
    }
    return target;
}

int head_on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct head *head = parser->data;

    head->path = path_of(slice_make(at, len));
    return 0;
}

int head_on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct head *head = parser->data;

    head->name = slice_make(at, len);
    head->bad |= !is_token(head->name);
    return 0;
}

static struct slice trimmed(struct slice s)
{
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.data[i] < 0x20 && s.data[i] != '\t') || s.data[i] == 0x7f)
            return true;
    return false;
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return s.len > 0;
}

/* Of a header that may stand once. */
static void take_once(struct head *head, struct slice *slot, struct slice value)
{
    if (slot->data)
        head->bad = true;
    *slot = value;
}

static void take_framing(struct head *head, struct slice value)
{
    if (slice_is_nocase(head->name, "Host")) {
        head->hosts++;
    } else if (slice_is_nocase(head->name, "Content-Length")) {
        head->lengths++;
        head->bad |= !all_digits(value);
    } else if (slice_is_nocase(head->name, "Transfer-Encoding")) {
        head->codings++;
        head->bad |= !slice_is_nocase(value, "chunked");
    }
}

int head_on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct head *head = parser->data;
    struct slice value = trimmed(slice_make(at, len));

    head->bad |= has_control(value);
    if (slice_is_nocase(head->name, "Content-Type"))
        take_once(head, &head->content_type, value);
    else if (slice_is_nocase(head->name, "Content-Encoding"))
        take_once(head, &head->content_encoding, value);
    else if (slice_is_nocase(head->name, "Authorization"))
        take_once(head, &head->authorization, value);
    else if (slice_is_nocase(head->name, "Expect"))
        head->expects_continue = slice_is_nocase(value, "100-continue");
    else
        take_framing(head, value);
    return 0;
}

static bool framing_is_plain(const llhttp_t *parser, const struct head *head)
{
    bool is_1_1 = parser->http_major == 1 && parser->http_minor == 1;
    bool is_1_0 = parser->http_major == 1 && parser->http_minor == 0;

    if (!is_1_1 && !is_1_0)
        return false;
    if (head->hosts > 1 || (is_1_1 && head->hosts == 0))
        return false;
    if (head->lengths > 1 || head->codings > 1 || (head->lengths && head->codings))
        return false;
    return !(is_1_0 && head->codings);
}

/* Before HTTP/1.1 a body may end with the connection, and a half would look like the whole: a
 * length is wanted of a POST (RFC 1945 section 8.3). */
static bool body_has_an_end(const llhttp_t *parser, const struct head *head)
{
    return parser->http_minor == 1 || !head->is_post || head->lengths == 1;
}

int head_on_complete(llhttp_t *parser)
{
    struct head *head = parser->data;

    parser->upgrade = 0; /* nothing to upgrade to: RFC 9110 section 7.8 lets us go on */
    head->expects_continue &= parser->http_minor == 1;
    head->is_head = parser->method == HTTP_HEAD;
    head->is_post = parser->method == HTTP_POST;
    head->chunked = (parser->flags & F_CHUNKED) != 0;
    head->content_length = head->chunked ? 0 : parser->content_length;
    head->has_body = head->chunked || head->content_length > 0;
    head->is_1_0 = parser->http_minor == 0;
    head->keep_alive = llhttp_should_keep_alive(parser) != 0;
    head->bad |= !framing_is_plain(parser, head) || !body_has_an_end(parser, head) ||
                 (head->codings && !head->chunked);
    return head->bad ? -1 : 0;
}

bool head_parse(llhttp_t *parser, const llhttp_settings_t *settings, struct slice bytes,
                struct head *head)
{
    enum llhttp_errno err;

    memset(head, 0, sizeof *head);
    head->bad = !request_line_is_plain(bytes);
    llhttp_init(parser, HTTP_REQUEST, settings);
    parser->data = head;
    err = llhttp_execute(parser, (const char *)bytes.data, bytes.len);
    head->complete = err == HPE_PAUSED;
    return err == HPE_OK || err == HPE_PAUSED;
}
