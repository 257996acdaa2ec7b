/* admin.h: health and metrics over HTTP, and the control socket.
 *
 * admin.listen serves /livez, /readyz, /metrics and /metrics/spans and nothing else; what shows
 * payload or changes state goes over a 0600 unix socket whose client is this program. Both belong
 * to the main thread and live on its loop: nothing here needs a step. Each listener has at most 32
 * connections (one more closes the one that has been quiet for longest), a request at most 16 KiB,
 * a command at most 4 KiB, an answer at most 8 MiB. Includes only base: what is served comes from
 * the callbacks.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/slice.h"

struct admin_callbacks {
    void *arg;
    /* Appends the text to `out`; returns the HTTP status. */
    int (*livez)(void *arg, struct buf *out);
    int (*readyz)(void *arg, bool verbose, struct buf *out);
    int (*metrics)(void *arg, bool openmetrics, struct buf *out);
    int (*span_metrics)(void *arg, bool openmetrics, struct buf *out); /* NULL: there is none */
    /* One line of a command ("summary", "rescue TRACE_ID 7") in, an answer out; with an error,
     * `out` is the sentence that says why. */
    enum err (*control)(void *arg, struct slice command, struct buf *out);
};

struct admin;

/* `listen`: "IP:PORT", NULL: none; `bound` (64 bytes) gets the real address. `control_path`: the
 * socket's path, NULL: none; a stale socket is replaced, a live one is an error. `callbacks` is
 * copied. ERR_IO (cannot listen) or ERR_CONFIG (the path is too long) with a sentence in info; then
 * nothing listens. Owned by the caller. */
enum err admin_new(struct loop *loop, const char *listen, const char *control_path,
                   const struct admin_callbacks *callbacks, char *bound, struct admin **out,
                   struct err_info *info) MUST_CHECK;
/* Listens on another address, aside: while `a` still has the port, too. Any thread, while main lets
 * it. ERR_IO with a sentence. */
enum err admin_bind(const struct admin *a, const char *listen, char *bound, int *fd,
                    struct err_info *info) MUST_CHECK;
/* Serves HTTP on `fd` (-1: no more) in place of what it has, whose connections are closed. Takes
 * fd. ERR_FULL: it is not served. */
enum err admin_move(struct admin *a, int fd) MUST_CHECK;
/* Closes everything and removes the control socket. NULL is allowed. */
void admin_free(struct admin *a);

/* Whether a control socket may be at `path`; nothing is made. ERR_CONFIG: the path is too long;
 * ERR_IO: another kind of file is there, or it can't be looked at. The sentence is in info. */
enum err admin_control_look(const char *path, struct err_info *info) MUST_CHECK;

/* The client's side of the control socket: one command, one answer, appended to `answer`. Blocks at
 * most timeout_ns. ERR_IO: nobody answers; ERR_SCRIPT: the command failed, the sentence is in info;
 * ERR_FULL: the answer is larger than answer's bound. */
enum err admin_control_call(const char *path, struct slice command, uint64_t timeout_ns,
                            struct buf *answer, struct err_info *info) MUST_CHECK;

/* The client's side of the pages: GET `path` from `address`, which is written as admin.listen is
 * (all addresses: this machine's own). *status and the body, which replaces what `answer` has.
 * Blocks at most timeout_ns. ERR_CONFIG: no address; ERR_IO: nobody answers; ERR_PARSE: not HTTP;
 * ERR_FULL: larger than answer's bound. With an error info has the sentence. */
enum err admin_probe(const char *address, const char *path, uint64_t timeout_ns, int *status,
                     struct buf *answer, struct err_info *info) MUST_CHECK;

/* ---- writing metrics: text format 0.0.4 and OpenMetrics 1.0 ---- */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

struct metrics {
    struct buf *out;
    bool openmetrics;
    char family[128]; /* being written */
    enum metric_type type;
};

/* Starts a family: HELP and TYPE. Counters are named with their _total; for OpenMetrics it is
 * moved to where that format wants it, and added to those that come without. */
void metrics_family(struct metrics *m, const char *name, enum metric_type type, const char *help);
/* One sample; labels are pairs (name, value, ..., NULL), escaped here; bytes that are not UTF-8
 * become U+FFFD. */
void metrics_sample(struct metrics *m, double value, ...) __attribute__((sentinel));
void metrics_end(struct metrics *m); /* "# EOF" for OpenMetrics */
