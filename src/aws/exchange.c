#include "aws/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { TEXT_SHOWN = 160 };

/* While a request is in flight the seam wakes the thread; this only bounds how long an exchange
 * could lie still if something else took the answer. */
static const uint64_t look_ns = 100 * NS_PER_MS;

static void forget_request(struct exchange *x)
{
    for (unsigned i = 0; i < x->header_count; i++) {
        explicit_bzero(x->headers[i], strlen(x->headers[i]));
        free(x->headers[i]);
    }
    memset(x->headers, 0, sizeof(x->headers));
    x->header_count = 0;
    if (x->body.data)
        explicit_bzero(x->body.data, x->body.cap);
    buf_fini(&x->body);
    buf_init(&x->body, EXCHANGE_BODY_MAX, NULL);
}

bool exchange_header(struct exchange *x, const char *name, struct slice value)
{
    size_t len = strlen(name) + 2 + value.len;
    char *line;

    if (x->header_count == EXCHANGE_HEADERS_MAX || !(line = malloc(len + 1)))
        return false;
    snprintf(line, len + 1, "%s: %.*s", name, (int)value.len, (const char *)value.data);
    x->headers[x->header_count++] = line;
    return true;
}

static void end(struct exchange *x, enum exchange_state state)
{
    forget_request(x);
    x->state = state;
}

static void send_now(struct exchange *x);

static void again(struct exchange *x)
{
    if (++x->tried >= x->kind->tries) {
        end(x, EXCHANGE_BROKEN);
        return;
    }
    if (x->tried + 1 == x->kind->tries && x->kind->last_try)
        x->kind->last_try(x);
    x->is_waiting = true;
    x->due_ns = 0;
}

const char *exchange_place(const struct exchange *x)
{
    const char *scheme = strstr(x->url, "://"), *host = scheme ? scheme + 3 : x->url;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));

    return at ? at + 1 : x->url;
}

static void on_answer(void *arg, const struct aws_http_answer *answer)
{
    struct exchange *x = arg;
    enum exchange_next next = EXCHANGE_RETRY;

    x->request = 0;
    if (answer->status)
        next = x->kind->answer(x, answer);
    else
        snprintf(x->error, sizeof(x->error), "%.200s: %.160s", exchange_place(x),
                 answer->error && *answer->error ? answer->error : "no answer");
    switch (next) {
    case EXCHANGE_SEND:
        x->tried = 0;
        send_now(x);
        break;
    case EXCHANGE_RETRY:
        again(x);
        break;
    case EXCHANGE_DONE:
        end(x, EXCHANGE_ENDED);
        break;
    case EXCHANGE_FAILED:
        end(x, EXCHANGE_BROKEN);
        break;
    }
}

static void send_now(struct exchange *x)
{
    struct aws_http_request request;

    forget_request(x);
    x->is_waiting = false;
    x->direct = true;
    if (!x->http.send) {
        snprintf(x->error, sizeof(x->error), "there is no HTTP client");
        end(x, EXCHANGE_BROKEN);
        return;
    }
    if (!x->kind->ask(x) || !buf_ok(&x->body)) {
        end(x, EXCHANGE_BROKEN);
        return;
    }
    request = (struct aws_http_request){
        .method = x->method,
        .url = x->url,
        .headers = (const char *const *)x->headers,
        .body = buf_slice(&x->body),
        .timeout_ns = x->kind->timeout_ns,
        .direct = x->direct,
    };
    if (x->http.send(x->http.arg, &request, on_answer, x, &x->request) == ERR_OK)
        return;
    x->request = 0;
    snprintf(x->error, sizeof(x->error), "%.200s: too many requests at once", exchange_place(x));
    again(x);
}

void exchange_begin(struct exchange *x, const struct exchange_kind *kind,
                    const struct aws_http *http, void *self)
{
    *x = (struct exchange){.kind = kind, .http = *http, .self = self, .state = EXCHANGE_RUNNING};
    buf_init(&x->body, EXCHANGE_BODY_MAX, NULL);
    send_now(x);
}

void exchange_fini(struct exchange *x)
{
    if (x->request)
        x->http.cancel(x->http.arg, x->request);
    x->request = 0;
    if (x->kind)
        end(x, EXCHANGE_IDLE);
}

uint64_t exchange_step(struct exchange *x, uint64_t now_ns)
{
    if (x->state != EXCHANGE_RUNNING)
        return NEVER_NS;
    if (x->is_waiting && !x->due_ns)
        x->due_ns = now_ns + x->kind->pause_ns;
    if (x->is_waiting && now_ns >= x->due_ns)
        send_now(x);
    if (x->state != EXCHANGE_RUNNING)
        return now_ns;
    return x->is_waiting && x->due_ns ? x->due_ns : now_ns + look_ns;
}

char exchange_shown(uint8_t byte)
{
    if (byte < ' ' || byte > '~')
        return '?';
    return (char)byte;
}

static bool has_word(struct slice text, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i + len <= text.len; i++)
        if (strncasecmp((const char *)text.data + i, word, len) == 0)
            return true;
    return false;
}

/* Whatever the status says: keys are never shown, nor what was sent for them, which some echo. */
static bool may_be_shown(const struct exchange *x, struct slice body)
{
    static const char *const words[] = {"secret", "token", "authorization"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (has_word(body, words[i]))
            return false;
    for (unsigned i = 0; i < x->header_count && body.len > 0; i++) {
        const char *value = strstr(x->headers[i], ": ") + 2;

        if (memmem(body.data, body.len, value, strlen(value)))
            return false;
    }
    return true;
}

void exchange_say_status(struct exchange *x, const char *what, const struct aws_http_answer *answer)
{
    char shown[TEXT_SHOWN + 1];
    size_t len = 0, most = may_be_shown(x, answer->body) ? TEXT_SHOWN : 0;

    for (; len < answer->body.len && len < most; len++)
        shown[len] = exchange_shown(answer->body.data[len]);
    shown[len] = '\0';
    snprintf(x->error, sizeof(x->error), "%s: status %d%s%s%s", what, answer->status,
             len ? " (" : "", shown, len ? ")" : "");
}

enum exchange_next exchange_refused(struct exchange *x, const char *what,
                                    const struct aws_http_answer *answer)
{
    exchange_say_status(x, what, answer);
    return answer->status >= 500 || answer->status == 429 ? EXCHANGE_RETRY : EXCHANGE_FAILED;
}
