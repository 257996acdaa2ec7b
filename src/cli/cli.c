#include "cli/cli.h"

#include "base/disk.h"
#include "collector/excerpt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct cli_command *commands; /* by name */

void cli_register(struct cli_command *command)
{
    struct cli_command **at = &commands;

    while (*at && strcmp((*at)->name, command->name) < 0)
        at = &(*at)->next;
    command->next = *at;
    *at = command;
}

static void print_help(FILE *to)
{
    fputs("usage: moontail COMMAND [ARGUMENT...]\n\n"
          "A trace collector whose policies are Lua scripts.\n\n",
          to);
    for (const struct cli_command *c = commands; c; c = c->next)
        fprintf(to, "  %-14s %s\n", c->name, c->summary);
    fputs("\n  --help, --version\n", to);
}

void cli_say_errors(const struct buf *report)
{
    struct buf text;

    buf_init(&text, 16 << 20, NULL);
    excerpt_write(disk_system(), buf_slice(report), &text);
    fwrite(text.data, 1, text.len, stderr);
    buf_fini(&text);
}

void cli_put_word(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_./:@%+,=-";

    if (*word && word[strspn(word, plain)] == '\0') {
        buf_str(out, word);
        return;
    }
    buf_byte(out, '\'');
    for (const char *c = word; *c; c++)
        if (*c == '\'')
            buf_str(out, "'\\''");
        else
            buf_byte(out, (uint8_t)*c);
    buf_byte(out, '\'');
}

int cli_usage(const struct cli_command *command, const char *fmt, ...)
{
    va_list args;

    fputs("moontail: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    if (command)
        fprintf(stderr, "\nusage: moontail %s %s\n", command->name, command->synopsis);
    else
        fputs("\nsee moontail --help\n", stderr);
    return EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--version") == 0) {
        puts("moontail " MOONTAIL_VERSION);
        return EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    for (const struct cli_command *c = commands; c; c = c->next) {
        if (strcmp(c->name, name) != 0)
            continue;
        if (argc > 2 && strcmp(argv[2], "--help") == 0) {
            printf("usage: moontail %s %s\n\n%s\n", c->name, c->synopsis, c->summary);
            return EXIT_OK;
        }
        return c->run(argc - 1, argv + 1);
    }
    return cli_usage(NULL, *name ? "there is no command '%s'" : "no command given%s", name);
}

/* What a command said and a full disk or a closed file took nothing of is no success. */
int cli_main(int argc, char **argv)
{
    int code = dispatch(argc, argv);

    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fputs("moontail: cannot write to standard output\n", stderr);
    return code == EXIT_OK ? EXIT_FAILED : code;
}
