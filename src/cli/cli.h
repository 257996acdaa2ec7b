/* cli.h: the commands. One file a command; each registers itself with CLI_COMMAND.
 *
 * Runs on the main thread. Exit codes: 0, 1 (failed), 2 (usage), 73 (cannot create a file or
 * listen), 78 (configuration).
 */
#pragma once

#include "base/buf.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CANTCREAT = 73,
    EXIT_CONFIG = 78,
};

struct cli_command {
    const char *name;
    const char *synopsis; /* the arguments, as in "--config FILE" */
    const char *summary;  /* one line */
    /* argv[0] is the command's name. Returns the exit code. */
    int (*run)(int argc, char **argv);
    struct cli_command *next;
};

/* Called before main by CLI_COMMAND. Keeps the pointer. */
void cli_register(struct cli_command *command);

#define CLI_COMMAND(ident, ...)                                                                    \
    static struct cli_command ident = {__VA_ARGS__};                                               \
    __attribute__((constructor)) static void ident##_register(void)                                \
    {                                                                                              \
        cli_register(&ident);                                                                      \
    }                                                                                              \
    _Static_assert(1, "")

/* Dispatches to the command named by argv[1]; handles --help and --version. */
int cli_main(int argc, char **argv);

/* The errors of a configuration, a line each, on stderr, with the source line of each and a caret.
 */
void cli_say_errors(const struct buf *report);
/* A word of a command that a hint names: in quotes where a shell needs them. */
void cli_put_word(struct buf *out, const char *word);
/* Says on stderr what is wrong with the arguments and how they go. Returns EXIT_USAGE. */
int cli_usage(const struct cli_command *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
