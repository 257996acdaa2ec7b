/* moontail health: asks a collector that runs whether it is well. For health checks of containers
 * whose image has no shell and no curl; reads no configuration, so that asking costs nothing. */
#include "admin/admin.h"
#include "base/clock.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_MAX = 64 << 10 };

static const uint64_t patience_ns = 5 * NS_PER_S;

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "health", .synopsis = "[--address IP:PORT] [--ready]",
            .summary = "ask a running collector whether it is well; exit 1: not", .run = run);

/* The answer's lines go to stdout where it is well, else to stderr. */
static int ask(const char *address, const char *path)
{
    struct err_info info;
    struct buf answer;
    int status = 0, code = EXIT_FAILED;
    enum err e;

    buf_init(&answer, ANSWER_MAX, NULL);
    e = admin_probe(address, path, patience_ns, &status, &answer, &info);
    if (e == ERR_CONFIG) {
        code = cli_usage(&command, "--address: %s", info.text);
    } else if (e) {
        fprintf(stderr, "moontail: %s\n", info.text);
    } else {
        code = status == 200 ? EXIT_OK : EXIT_FAILED;
        fwrite(answer.data, 1, answer.len, code ? stderr : stdout);
    }
    buf_fini(&answer);
    return code;
}

static int run(int argc, char **argv)
{
    const char *address = "127.0.0.1:13133", *path = "/livez";

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--ready") == 0)
            path = "/readyz?verbose";
        else if (strcmp(argv[i], "--address") != 0)
            return cli_usage(&command, "there is no argument '%s'", argv[i]);
        else if (++i == argc)
            return cli_usage(&command, "--address needs IP:PORT, that of admin.listen");
        else
            address = argv[i];
    }
    return ask(address, path);
}
