/* moontail try: what a policy, or a configuration, says of recent traces, or of those in a file. */
#include "base/clock.h"
#include "cli/file_kind.h"
#include "cli/journal_place.h"
#include "cli/redacting.h"
#include "cli/trace_file.h"
#include "cli/try_text.h"
#include "collector/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 64 << 20,
    REPORT_MAX = 1 << 20,
    TRACES_MAX = 10000, /* of a file */
    HISTORY_MAX = 1000, /* as many as a reload tries */
    BYTES_MAX = 512 << 20,
    SHOWN = 10,
};

struct trying {
    const char *file;    /* the policy or configuration */
    const char *options; /* of the policy; NULL: none */
    const char *trace;   /* NULL: history */
    bool wants_history;
    unsigned long show;
    struct journal_place place;

    bool is_policy;
    struct redacting
        *redacting;           /* of the configuration that a policy is for; NULL: none is named */
    char *text, *config_path; /* around the policy; owned */
    char type[128];
    struct lua_script_at script;
    struct setup setup;
    struct setup_loaded loaded;
    struct recent recent;
    struct trial_world *world;
    struct trial_tally tally;
};

static int fail(const char *text, int code)
{
    fprintf(stderr, "moontail: %s\n", text);
    return code;
}

/* ---- the policy or configuration ---- */

/* "policies/slow_db.lua", "policies.slow_db.lua": slow_db */
static void name_type(struct trying *t)
{
    const char *slash = strrchr(t->file, '/'), *name = slash ? slash + 1 : t->file;
    size_t len;

    if (strncmp(name, "policies.", 9) == 0)
        name += 9;
    len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".lua") == 0)
        len -= 4;
    snprintf(t->type, sizeof(t->type), "%.*s", (int)len, name);
}

/* Around the policy; what is shown of traces is what redaction leaves by default, where no
 * configuration says more.
 *
 * The configuration would lie beside the policy's folder, as its text is read from there. */
static bool place_config(struct trying *t)
{
    const char *slash = strrchr(t->file, '/');
    int len = slash ? (int)(slash - t->file) : 0;

    if (len >= 9 && strncmp(t->file + len - 9, "/policies", 9) == 0)
        len -= 9;
    if (!slash || (len == 8 && strncmp(t->file, "policies", 8) == 0))
        return (t->config_path = strdup("--options")) != NULL;
    return asprintf(&t->config_path, "%.*s/--options", len, t->file) >= 0;
}

static int wrap_policy(struct trying *t)
{
    name_type(t);
    if (!place_config(t) ||
        asprintf(
            &t->text,
            "return { tail_sampling = { policies = { policy \"%s\" %s } }, processors = { kept "
            "= { processor \"redact\" {} } }, exporters = { exporter \"nop\" } }",
            t->type, t->options ? t->options : "{}") < 0)
        err_no_memory("the policy's configuration");
    t->script = (struct lua_script_at){"policy", t->type, t->file};
    t->setup.path = t->config_path;
    t->setup.text = t->text;
    t->setup.script = &t->script;
    return EXIT_OK;
}

static int refuse_kind(const struct trying *t, enum file_kind kind)
{
    bool is_exporter = kind == FILE_EXPORTER;

    fprintf(stderr, "moontail: %s is %s: try is for policies and configurations%s\n", t->file,
            is_exporter ? "an exporter's file" : "a processor's file",
            is_exporter ? "" : "; one that has it in its processors runs it");
    return EXIT_USAGE;
}

static int find_kind(struct trying *t)
{
    struct err_info info;
    enum file_kind kind;
    char *text;
    size_t len;

    if (disk_read_file(disk_system(), t->file, REPORT_MAX, &text, &len, &info) != ERR_OK)
        return fail(info.text, EXIT_CONFIG);
    kind = file_kind_of(slice_make(text, len), t->file, t->setup.shared);
    free(text);
    if (kind == FILE_PROCESSOR || kind == FILE_EXPORTER)
        return refuse_kind(t, kind);
    t->is_policy = kind == FILE_POLICY;
    if (t->is_policy)
        return wrap_policy(t);
    t->setup.path = t->file;
    return EXIT_OK;
}

/* Arguments that only a policy can have. Asked once it has been loaded: a file with an error in it
 * may be either. */
static int check_arguments(const struct trying *t)
{
    if (t->is_policy)
        return EXIT_OK;
    if (t->trace && t->place.config)
        return fail("--config is for a policy: a configuration has its own processors", EXIT_USAGE);
    if (t->options)
        return fail("--options are for a policy: a configuration has its own", EXIT_USAGE);
    return EXIT_OK;
}

static int load(struct trying *t)
{
    struct buf report;
    int code = find_kind(t);

    if (code)
        return code;
    buf_init(&report, REPORT_MAX, NULL);
    if (setup_load(&t->setup, &t->loaded, &report) != ERR_OK) {
        cli_say_errors(&report);
        code = EXIT_CONFIG;
    } else {
        if (report.len > 0)
            fwrite(report.data, 1, report.len, stderr);
        code = check_arguments(t);
    }
    buf_fini(&report);
    if (!code && t->loaded.config && !t->is_policy && !t->place.path && !t->place.config)
        t->place.path = strdup(t->loaded.config->journal.path);
    if (!code && t->is_policy && t->place.config)
        code = redacting_new(t->place.config, &t->redacting);
    return code;
}

/* ---- the traces ---- */

static int read_file(struct trying *t)
{
    struct recent_limits limits = {.max_traces = TRACES_MAX, .max_bytes = BYTES_MAX};
    struct err_info info, why;
    struct buf body;
    enum err err;

    buf_init(&body, BYTES_MAX, NULL);
    err = trace_file_read(disk_system(), t->trace, &body, &info);
    if (err == ERR_OK) {
        err = recent_of_body(buf_slice(&body), clock_unix_ns(clock_system()), &limits, &t->recent,
                             &why);
        if (err != ERR_OK)
            err_fail(&info, err, "%s: %s", t->trace, why.text);
        else if (t->recent.count == 0)
            err = err_fail(&info, ERR_PARSE, "%s: there is no span in it", t->trace);
    }
    buf_fini(&body);
    return err == ERR_OK ? EXIT_OK : fail(info.text, EXIT_FAILED);
}

/* Where nobody said which collector's journal it is: a policy's file can't say it either. */
static int say_which_journal(const struct trying *t)
{
    if (t->is_policy && !*t->place.arguments)
        fputs("moontail: --config FILE or --journal PATH says whose traces to read, --trace FILE "
              "has them in a file\n",
              stderr);
    return EXIT_FAILED;
}

static int read_history(struct trying *t)
{
    struct recent_limits limits = {.max_traces = HISTORY_MAX, .max_bytes = BYTES_MAX};
    struct err_info info;
    int code = journal_place_find(&t->place);

    if (code)
        return code;
    if (recent_read(disk_system(), t->place.path, &limits, &t->recent, &info) != ERR_OK) {
        (void)fail(info.text, EXIT_FAILED);
        return say_which_journal(t);
    }
    if (t->recent.count > 0)
        return EXIT_OK;
    fprintf(stderr, "moontail: %s has no decided trace whole%s\n", t->place.path,
            t->recent.decided ? " any more: journal.history keeps more" : "");
    return say_which_journal(t);
}

/* ---- trying ---- */

/* A policy alone: as if it were asked before those that decided. Where it has no opinion, or only
 * raises a probability in vain, what was decided stands; of a file nothing was. */
static void add_to_chain(const struct trying *t, const struct recent_trace *trace,
                         struct trial_verdict *v)
{
    enum policy_opinion opinion = v->vote_count ? v->votes[0].opinion : OPINION_NONE;

    if (opinion == OPINION_KEEP || opinion == OPINION_DROP || opinion == OPINION_SAMPLE ||
        (opinion == OPINION_AT_LEAST && (v->keep || !trace->is_decided)))
        return;
    v->keep = trace->kept;
    v->probability = -1;
    v->policy = v->reason = NULL;
    if (!trace->is_decided)
        return;
    v->policy = labels_policy(t->recent.labels, trace->label);
    v->reason = labels_reason(t->recent.labels, trace->label);
}

static int judge(struct trying *t, struct try_text *text)
{
    const struct trial_world_options options = {
        .setup = &t->setup,
        .loaded = &t->loaded,
        .now_ns = clock_now_ns(clock_system()),
        .processors = t->redacting ? redacting_processors(t->redacting) : NULL};
    struct err_info info;

    if (trial_world_new(&options, &t->world, &info) != ERR_OK)
        return fail(info.text, EXIT_CONFIG);
    for (size_t i = 0; i < t->recent.count; i++) {
        const struct recent_trace *trace = &t->recent.traces[i];
        struct trial_verdict verdict;

        if (trial_world_judge(t->world, trace, &verdict) != ERR_OK)
            continue;
        if (t->is_policy)
            add_to_chain(t, trace, &verdict);
        trial_tally_add(&t->tally, &t->recent, trace, &verdict);
        try_text_add(text, t->world, &t->recent, trace, &verdict);
    }
    return t->tally.tried ? EXIT_OK : fail("no memory to look at the traces", EXIT_FAILED);
}

static int print(struct trying *t, struct try_text *text)
{
    const char *where = t->trace ? t->trace : t->place.path;
    size_t failures;
    struct buf out;
    int code;

    buf_init(&out, TEXT_MAX, NULL);
    try_text_write(text, t->world, &t->tally, &t->recent, where, &out);
    (void)trial_world_failures(t->world, &failures);
    code = failures ? EXIT_FAILED : EXIT_OK;
    fwrite(out.data, 1, out.len, stdout);
    buf_fini(&out);
    return code;
}

static int try_all(struct trying *t)
{
    struct try_text text;
    int code = load(t);

    if (!code)
        code = t->trace ? read_file(t) : read_history(t);
    try_text_init(&text, (unsigned)t->show, t->is_policy);
    if (!code)
        code = judge(t, &text);
    if (!code)
        code = print(t, &text);
    try_text_fini(&text);
    return code;
}

/* ---- the command ---- */

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "try",
            .synopsis = "POLICY | CONFIG [--options '{ ... }'] [--trace FILE | --history] "
                        "[--config FILE | --journal PATH] [--show N]",
            .summary = "what a policy or a config.lua says of traces", .run = run);

static int read_number(const char *text, unsigned long *number)
{
    char *end;

    *number = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || *number > 1000000)
        return cli_usage(&command, "--show '%s' is no number up to 1000000", text);
    return EXIT_OK;
}

/* An option with a value. */
static int read_option(struct trying *t, const char *name, const char *value)
{
    if (!value)
        return cli_usage(&command, "%s needs a value", name);
    if (strcmp(name, "--options") == 0)
        t->options = value;
    else if (strcmp(name, "--trace") == 0)
        t->trace = value;
    else
        return read_number(value, &t->show);
    return EXIT_OK;
}

static bool has_value(const char *name)
{
    return strcmp(name, "--options") == 0 || strcmp(name, "--trace") == 0 ||
           strcmp(name, "--show") == 0;
}

static int read_arguments(int argc, char **argv, struct trying *t)
{
    int code = EXIT_OK;

    for (int i = 1; i < argc && !code; i++) {
        if (journal_place_option(&t->place, &command, argv, &i, &code))
            continue;
        if (strcmp(argv[i], "--history") == 0) {
            t->wants_history = true;
        } else if (has_value(argv[i])) {
            code = read_option(t, argv[i], argv[i + 1]);
            i++;
        } else if (argv[i][0] == '-' || t->file) {
            code = cli_usage(&command, "there is no argument '%s'", argv[i]);
        } else {
            t->file = argv[i];
        }
    }
    if (!code && !t->file)
        code = cli_usage(&command, "which policy, or config.lua?");
    if (!code && t->trace && (t->wants_history || t->place.path))
        code = cli_usage(&command, "--trace FILE, or the history of a journal: give one");
    return code;
}

static void trying_fini(struct trying *t)
{
    trial_world_free(t->world);
    redacting_free(t->redacting);
    recent_fini(&t->recent);
    if (t->loaded.L)
        setup_fini(&t->loaded);
    journal_place_fini(&t->place);
    free(t->text);
    free(t->config_path);
    free(t);
}

static int run(int argc, char **argv)
{
    static struct policy_shared shared; /* large */
    struct trying *t = calloc(1, sizeof(*t));
    struct labels *labels = labels_new();
    int code;

    if (!t)
        err_no_memory("what is tried");
    policy_shared_init(&shared, labels, 0);
    t->setup.disk = disk_system();
    t->setup.shared = &shared;
    t->show = SHOWN;
    code = read_arguments(argc, argv, t);
    if (!code)
        code = try_all(t);
    trying_fini(t);
    policy_shared_fini(&shared);
    labels_free(labels);
    return code;
}
