/* moontail explain: what was decided about one trace, by whom, and why. */
#include "admin/admin.h"
#include "base/clock.h"
#include "cli/explanation.h"
#include "cli/journal_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 };

static const uint64_t patience_ns = 2 * NS_PER_S;

/* What else its policy leaves out, of a collector that runs. */
static void ask_bias(const struct journal_place *place, struct explanation *x)
{
    struct buf command, answer;
    struct err_info info;

    if (!x->decision || !*x->decision->policy || !place->control)
        return;
    buf_init(&command, TEXT_MAX, NULL);
    buf_init(&answer, TEXT_MAX, NULL);
    buf_printf(&command, "bias %s", x->decision->policy);
    if (admin_control_call(place->control, buf_slice(&command), patience_ns, &answer, &info) ==
            ERR_OK &&
        answer.len > 0)
        x->bias = strndup((const char *)answer.data, answer.len);
    buf_fini(&command);
    buf_fini(&answer);
}

static int explain(const struct journal_place *place, const uint8_t trace_id[16], bool json)
{
    struct explanation x;
    struct err_info info;
    struct buf text;
    int code;

    if (explanation_read(disk_system(), place->path, trace_id, &x, &info)) {
        fprintf(stderr, "moontail: %s\n", info.text);
        return EXIT_CONFIG;
    }
    x.arguments = place->arguments;
    x.may_be_left_out = place->has_door;
    ask_bias(place, &x);
    buf_init(&text, TEXT_MAX, NULL);
    if (json)
        explanation_json(&x, &text);
    else
        explanation_text(&x, clock_unix_ns(clock_system()), &text);
    fwrite(text.data, 1, text.len, stdout);
    code = x.decision || x.live_spans || x.history_spans ? EXIT_OK : EXIT_FAILED;
    buf_fini(&text);
    explanation_fini(&x);
    return code;
}

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "explain",
            .synopsis = "TRACE_ID [--json] [--config FILE | --journal PATH]",
            .summary = "what was decided about a trace, and why; exit 1: not seen", .run = run);

static int read_arguments(int argc, char **argv, const char **id, bool *json,
                          struct journal_place *place)
{
    int code = EXIT_OK;

    for (int i = 1; i < argc && !code; i++) {
        if (journal_place_option(place, &command, argv, &i, &code))
            continue;
        if (strcmp(argv[i], "--json") == 0)
            *json = true;
        else if (argv[i][0] == '-' || *id)
            code = cli_usage(&command, "there is no argument '%s'", argv[i]);
        else
            *id = argv[i];
    }
    if (!code && !*id)
        code = cli_usage(&command, "which trace?");
    return code;
}

static int run(int argc, char **argv)
{
    struct journal_place place = {0};
    uint8_t trace_id[16];
    const char *id = NULL;
    bool json = false;
    int code = read_arguments(argc, argv, &id, &json, &place);

    if (!code && !trace_id_parse(id, trace_id))
        code =
            cli_usage(&command, "'%s' is no trace id: it has 32 hex digits, not all of them 0", id);
    if (!code)
        code = journal_place_find(&place);
    if (!code)
        code = explain(&place, trace_id, json);
    journal_place_fini(&place);
    return code;
}
