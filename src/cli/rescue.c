/* moontail rescue: sends a dropped trace that the journal still has. */
#include "collector/rescue.h"

#include "admin/admin.h"
#include "base/clock.h"
#include "base/encode.h"
#include "cli/explanation.h"
#include "cli/journal_place.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 4096, LOOK_MS = 20 };

static const uint64_t call_ns = 10 * NS_PER_S, commit_ns = 10 * NS_PER_S;

struct rescuing {
    const struct journal_place *place;
    uint8_t trace_id[16];
    const char *id;     /* as it was given */
    uint64_t *segments; /* that hold its spans */
    size_t segment_count;
};

static int fail(const char *text)
{
    fprintf(stderr, "moontail: %s\n", text);
    return EXIT_FAILED;
}

/* more: what `moontail explain` says of it; may be NULL. */
static int fail_explained(const struct rescuing *r, const char *why, const char *more)
{
    fprintf(stderr, "moontail: %s: %s", r->id, why);
    if (more)
        fprintf(stderr, ": `moontail explain %s%s` says %s", r->id, r->place->arguments, more);
    fputc('\n', stderr);
    return EXIT_FAILED;
}

static const struct explained_after *last_rescue(const struct explanation *x)
{
    const struct explained_after *last = NULL;

    for (uint64_t i = 0; i < x->after_count && i < EXPLAIN_AFTER; i++)
        if (x->after[i].rescue)
            last = &x->after[i];
    return last;
}

/* Why there is nothing to rescue; NULL: there is. *more: what `moontail explain` says of it. */
static const char *nothing_because(const struct explanation *x, const char **more)
{
    *more = NULL;
    if (!x->decision && x->live_spans)
        return "it is not decided yet";
    if (!x->decision && x->history_spans)
        return "its decision is not remembered: it may have been kept";
    if (!x->decision) {
        *more = "since when";
        return "it was not seen";
    }
    if (x->decision->record.keep)
        return "it was kept";
    if (last_rescue(x) || x->rescued_logs_ns) {
        *more = "when";
        return "it was rescued already";
    }
    return x->live_spans + x->history_spans + x->live_logs + x->history_logs
               ? NULL
               : "none of its spans is left in the journal";
}

/* What the collector says is on its way. */
struct on_its_way {
    uint64_t asked_ns;
    size_t spans, logs;
};

/* As RESCUE_ANSWER has it. */
static bool parse_answer(const char *text, struct on_its_way *out)
{
    static const char first[] = "rescuing ", second[] = " spans, ";
    char *at;

    if (strncmp(text, first, sizeof(first) - 1) != 0)
        return false;
    out->spans = strtoull(text + sizeof(first) - 1, &at, 10);
    if (strncmp(at, second, sizeof(second) - 1) != 0)
        return false;
    out->logs = strtoull(at + sizeof(second) - 1, &at, 10);
    return strcmp(at, " log records\n") == 0;
}

/* Hands the collector up to RESCUE_SEGMENTS of the segments from `first` on. */
static enum err call(const struct rescuing *r, size_t first, struct on_its_way *out,
                     struct err_info *info)
{
    struct buf command, answer;
    enum err err;

    buf_init(&command, ANSWER_MAX, NULL);
    buf_init(&answer, ANSWER_MAX, NULL);
    buf_str(&command, "rescue ");
    encode_hex(&command, slice_make(r->trace_id, sizeof(r->trace_id)));
    for (size_t i = first; i < r->segment_count && i < first + RESCUE_SEGMENTS; i++)
        buf_printf(&command, " %llu", (unsigned long long)r->segments[i]);
    out->asked_ns = clock_unix_ns(clock_system());
    err = admin_control_call(r->place->control, buf_slice(&command), call_ns, &answer, info);
    buf_byte(&answer, '\0');
    if (!err && (!buf_ok(&answer) || !parse_answer((const char *)answer.data, out)))
        err = err_fail(info, ERR_PARSE, "the collector's answer makes no sense: another version?");
    buf_fini(&command);
    buf_fini(&answer);
    return err;
}

static void say(const struct rescuing *r, const struct explained_after *done,
                const struct on_its_way *way)
{
    static const char nobody[] = "nobody: no exporter's `where` holds for it";

    printf("%s: ", r->id);
    if (way->spans)
        printf("%u span%s", done->spans, done->spans == 1 ? "" : "s");
    if (way->logs)
        printf("%s%zu log record%s", way->spans ? " and " : "", way->logs,
               way->logs == 1 ? "" : "s");
    if (way->spans)
        printf(" rescued, to %s\n", *done->exporters ? done->exporters : nobody);
    else
        printf(" rescued\n");
}

/* Whether the log has all that is on its way; says so then. */
static bool is_logged(const struct rescuing *r, const struct on_its_way *way)
{
    const struct explained_after *done;
    struct explanation x;
    bool is_done;

    if (explanation_read_decisions(disk_system(), r->place->path, r->trace_id, &x, NULL) != ERR_OK)
        return false;
    done = last_rescue(&x);
    is_done = (way->spans == 0 || (done && done->unix_ns >= way->asked_ns)) &&
              (way->logs == 0 || x.rescued_logs_ns >= way->asked_ns);
    if (is_done)
        say(r, done, way);
    explanation_fini(&x);
    return is_done;
}

static int wait_until_logged(const struct rescuing *r, const struct on_its_way *way)
{
    uint64_t until = clock_now_ns(clock_system()) + commit_ns;

    while (!is_logged(r, way)) {
        if (clock_now_ns(clock_system()) > until)
            return fail_explained(r, "it was asked for, but the journal's log does not have it",
                                  "what it has");
        (void)poll(NULL, 0, LOOK_MS);
    }
    return EXIT_OK;
}

static int rescue(const struct rescuing *r)
{
    int code = EXIT_OK;

    if (!r->place->control)
        return fail("admin.control is off: nobody can be asked");
    for (size_t i = 0; i < r->segment_count && !code; i += RESCUE_SEGMENTS) {
        struct on_its_way way;
        struct err_info info;

        if (call(r, i, &way, &info) != ERR_OK)
            return fail(info.text);
        code = wait_until_logged(r, &way);
    }
    return code;
}

/* Where its spans are, if it is one to rescue. */
static int find(struct rescuing *r)
{
    struct explanation x;
    struct err_info info;
    const char *why, *more;

    if (explanation_read(disk_system(), r->place->path, r->trace_id, &x, &info) != ERR_OK) {
        fprintf(stderr, "moontail: %s\n", info.text);
        return EXIT_CONFIG;
    }
    why = nothing_because(&x, &more);
    r->segments = x.segments;
    r->segment_count = x.segment_count;
    x.segments = NULL;
    explanation_fini(&x);
    return why ? fail_explained(r, why, more) : EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "rescue", .synopsis = "TRACE_ID [--config FILE | --journal PATH]",
            .summary = "send a dropped trace that a running journal still has", .run = run);

static int read_arguments(int argc, char **argv, struct rescuing *r, struct journal_place *place)
{
    int code = EXIT_OK;

    for (int i = 1; i < argc && !code; i++) {
        if (journal_place_option(place, &command, argv, &i, &code))
            continue;
        if (argv[i][0] == '-' || r->id)
            code = cli_usage(&command, "there is no argument '%s'", argv[i]);
        else
            r->id = argv[i];
    }
    if (!code && !r->id)
        code = cli_usage(&command, "which trace?");
    if (!code && !trace_id_parse(r->id, r->trace_id))
        code = cli_usage(&command, "'%s' is no trace id: it has 32 hex digits, not all of them 0",
                         r->id);
    return code;
}

static int run(int argc, char **argv)
{
    struct journal_place place = {0};
    struct rescuing r = {.place = &place};
    int code = read_arguments(argc, argv, &r, &place);

    if (!code)
        code = journal_place_find(&place);
    if (!code)
        code = find(&r);
    if (!code)
        code = rescue(&r);
    free(r.segments);
    journal_place_fini(&place);
    return code;
}
