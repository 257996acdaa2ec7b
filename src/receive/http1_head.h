/* http1_head.h: the head of an HTTP/1.1 request, strictly (RFC 9112).
 *
 * What lenient readers guess about is refused, because another reader on the way may have guessed
 * otherwise: bare line feeds, folded lines, two lengths, a length beside a transfer coding,
 * codings other than "chunked", no Host or two. Pure functions.
 */
#pragma once

#include "base/slice.h"
#include "llhttp.h"

enum head_state { HEAD_MORE, HEAD_DONE, HEAD_BAD, HEAD_TOO_LARGE };

/* Looks for the end of the head that starts at bytes.data[0]. *scanned (0 for a new head)
 * remembers how far earlier calls came; *end is its length, the empty line included. */
enum head_state head_find(struct slice bytes, size_t max, size_t *scanned, size_t *end);

/* What matters of a head. Slices point into it. */
struct head {
    struct slice path; /* without query */
    struct slice content_type, content_encoding, authorization;
    uint64_t content_length; /* 0 if chunked */
    bool is_post, is_head, chunked, has_body;
    bool expects_continue;
    bool is_1_0, keep_alive;
    unsigned hosts, codings, lengths;
    bool bad;
    bool complete;     /* the message ends with the head */
    struct slice name; /* of the header that is being read */
};

/* Reads `bytes`, a whole head, and leaves `parser` (whose data is set to `head` meanwhile) where
 * the body begins. False: malformed. */
bool head_parse(llhttp_t *parser, const llhttp_settings_t *settings, struct slice bytes,
                struct head *head);

/* Callbacks of llhttp that fill the head in parser->data. */
int head_on_url(llhttp_t *parser, const char *at, size_t len);
int head_on_field(llhttp_t *parser, const char *at, size_t len);
int head_on_value(llhttp_t *parser, const char *at, size_t len);
int head_on_complete(llhttp_t *parser);

/* True if a media type is `type`, parameters aside, in any case of letters. */
bool media_type_is(struct slice value, const char *type);
bool slice_is_nocase(struct slice s, const char *text);
