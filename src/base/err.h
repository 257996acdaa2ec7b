/* err.h: how every fallible function in this program reports failure.
 *
 * Functions return `enum err`; zero is success. Those whose failure an operator will read
 * (configuration, scripts, TLS, listeners) also take a `struct err_info *` and fill it first.
 */
#pragma once

#include <stddef.h>

/* clang-format off */
enum err {
    ERR_OK = 0,
    ERR_FULL,    /* a configured limit was reached; the caller waits, sheds or refuses */
    ERR_AGAIN,   /* nothing to do yet (would block); try when the loop says so */
    ERR_PARSE,   /* the peer's bytes are malformed; drop the input, keep the process */
    ERR_SCRIPT,  /* a Lua function raised, ran out of budget or returned nonsense */
    ERR_CONFIG,  /* the operator's file is wrong; keep running on the old one */
    ERR_IO,      /* the other end, the network or the disk failed; a retry can succeed */
    ERR_COUNT    /* must stay last */
};
/* clang-format on */

/* Text for an operator: sentences without a trailing newline; names the file or the limit. */
struct err_info {
    enum err code;
    char text[1024];
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Fills `info` (may be NULL) and returns `code`, so that it can end a function:
 *     return err_fail(info, ERR_CONFIG, "%s:%d: decision_wait must be 1s to 1h", file, line);
 */
#define err_fail(info, code, ...) (err_fill(info, code, __VA_ARGS__), err_pass(code))

/* The halves of err_fail: inline where the value is decided, so that compilers and analysers see
 * that what was asked for comes back. */
void err_fill(struct err_info *info, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static inline enum err err_pass(enum err code)
{
    return code;
}

/* For what is allocated once, before anything depends on it: says "moontail: no memory for WHAT"
 * and ends the program with exit code 1. What was acknowledged is on disk, as after a kill. */
void err_no_memory(const char *what) __attribute__((noreturn));

/* Short lower-case name for logs ("full", "parse"). Never NULL. */
const char *err_name(enum err code);
