/* moontail reload: asks the collector that runs to read its configuration again. */
#include "admin/admin.h"
#include "cli/journal_place.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 2 << 20, LOOK_MS = 10 };

static const uint64_t call_ns = 5 * NS_PER_S;
static const uint64_t patience_ns = 60 * NS_PER_S; /* until it has been read and exchanged */

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "reload", .synopsis = "[--config FILE | --journal PATH]",
            .summary = "make a running collector read its configuration again", .run = run);

static int fail(const char *why)
{
    fprintf(stderr, "moontail: %s\n", why);
    return EXIT_FAILED;
}

/* The answer ends with a NUL. */
static enum err call(const char *path, const char *text, struct buf *answer, struct err_info *info)
{
    enum err err;

    buf_clear(answer);
    err = admin_control_call(path, slice_str(text), call_ns, answer, info);
    buf_byte(answer, 0);
    return err;
}

static bool begins(const struct buf *answer, const char *word)
{
    return strncmp((const char *)answer->data, word, strlen(word)) == 0;
}

/* A collector reads its own file, whichever the command was given. */
static void compare(const struct journal_place *place, const char *hash)
{
    if (!place->config || strncmp(hash, place->hash, strlen(place->hash)) == 0)
        return;
    fflush(stdout);
    fprintf(stderr,
            "moontail: %s has the hash %s here: the collector read another file, or has other "
            "environment variables; its log names the file\n",
            place->config, place->hash);
}

static int say(const struct journal_place *place, const struct buf *answer)
{
    const char *text = (const char *)answer->data;

    if (begins(answer, "taken ")) {
        text += strlen("taken ");
        printf("reloaded, hash %s", text);
        compare(place, text);
        return EXIT_OK;
    }
    fputs(text + strlen("refused\n"), stderr);
    fputs("moontail: refused; the configuration that runs stays\n", stderr);
    return EXIT_CONFIG;
}

static int wait_for(const struct journal_place *place, struct buf *answer)
{
    uint64_t until = clock_now_ns(clock_system()) + patience_ns;
    struct err_info info;
    char question[32];

    snprintf(question, sizeof(question), "reload %s",
             (const char *)answer->data + strlen("asked "));
    question[strcspn(question, "\n")] = '\0';
    while (clock_now_ns(clock_system()) < until) {
        if (call(place->control, question, answer, &info) != ERR_OK)
            return fail(info.text);
        if (!begins(answer, "working"))
            return say(place, answer);
        (void)poll(NULL, 0, LOOK_MS);
    }
    return fail("it was asked for, but nothing has come of it yet: see the collector's log");
}

/* A configuration says where its journal is, and not where that of the collector is that runs with
 * what it said before. */
static int fail_to_reach(const struct journal_place *place, const char *why)
{
    bool is_in_journal = strncmp(place->control, place->path, strlen(place->path)) == 0;

    (void)fail(why);
    if (!place->journal)
        fputs(is_in_journal ? "moontail: where journal.path was changed, `moontail reload "
                              "--journal OLDPATH` names the folder of the one that runs\n"
                            : "moontail: where admin.control was changed, the one that runs "
                              "listens where it did: send it SIGHUP\n",
              stderr);
    return EXIT_FAILED;
}

static int reload(const struct journal_place *place)
{
    const char *path = place->control;
    struct err_info info;
    struct buf answer;
    enum err err;
    int code;

    if (!path)
        return fail("admin.control is off: nobody can be asked; send SIGHUP");
    buf_init(&answer, ANSWER_MAX, NULL);
    err = call(path, "reload", &answer, &info);
    if (err)
        code = err == ERR_IO ? fail_to_reach(place, info.text) : fail(info.text);
    else
        code = begins(&answer, "asked ") ? wait_for(place, &answer) : fail("not a control socket");
    buf_fini(&answer);
    return code;
}

static int run(int argc, char **argv)
{
    struct journal_place place = {0};
    int code = EXIT_OK;

    for (int i = 1; i < argc && !code; i++)
        if (!journal_place_option(&place, &command, argv, &i, &code))
            code = cli_usage(&command, "there is no argument '%s'", argv[i]);
    if (!code)
        code = journal_place_find(&place);
    if (!code)
        code = reload(&place);
    journal_place_fini(&place);
    return code;
}
