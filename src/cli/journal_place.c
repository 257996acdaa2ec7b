#include "cli/journal_place.h"

#include "collector/setup.h"
#include "policy/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX = 1024 * 1024, ARGUMENTS_MAX = 64 * 1024 };

bool journal_place_option(struct journal_place *p, const struct cli_command *command, char **argv,
                          int *i, int *code)
{
    bool is_config = strcmp(argv[*i], "--config") == 0;
    const char *value = argv[*i + 1];

    if (!is_config && strcmp(argv[*i], "--journal") != 0)
        return false;
    ++*i;
    if (!value) {
        *code =
            cli_usage(command, is_config ? "--config needs a file" : "--journal needs a folder");
    } else if (is_config) {
        p->config = value;
    } else {
        p->journal = value;
        free(p->path);
        p->path = strdup(value);
    }
    if (!*code && p->config && p->path)
        *code = cli_usage(command, "--config and --journal say the same thing: give one");
    return true;
}

static void take_config(struct journal_place *p, const struct config *config)
{
    p->path = strdup(config->journal.path);
    memcpy(p->hash, config->hash, sizeof(p->hash));
    p->control = config_control_path(config->admin_control, config->journal.path);
}

static int read_config(struct journal_place *p)
{
    static struct policy_shared shared; /* large */
    struct labels *labels = labels_new();
    struct setup setup = {.path = p->config, .disk = disk_system(), .shared = &shared};
    struct setup_loaded loaded;
    struct buf report;
    int code = EXIT_OK;

    policy_shared_init(&shared, labels, 0);
    buf_init(&report, REPORT_MAX, NULL);
    if (setup_load(&setup, &loaded, &report)) {
        cli_say_errors(&report);
        code = EXIT_CONFIG;
    } else {
        take_config(p, loaded.config);
        p->has_door = loaded.has_door;
        setup_fini(&loaded);
    }
    buf_fini(&report);
    policy_shared_fini(&shared);
    labels_free(labels);
    return code;
}

static void repeat_arguments(struct journal_place *p)
{
    const char *value = p->config ? p->config : p->journal;
    struct buf text;

    buf_init(&text, ARGUMENTS_MAX, NULL);
    if (value) {
        buf_str(&text, p->config ? " --config " : " --journal ");
        cli_put_word(&text, value);
    }
    buf_byte(&text, 0);
    p->arguments = strdup(buf_ok(&text) ? (const char *)text.data : "");
    if (!p->arguments)
        err_no_memory("a command's arguments");
    buf_fini(&text);
}

int journal_place_find(struct journal_place *p)
{
    repeat_arguments(p);
    if (!p->path)
        return read_config(p);
    p->control = config_control_path("unix", p->path);
    return EXIT_OK;
}

void journal_place_fini(struct journal_place *p)
{
    free(p->path);
    free(p->arguments);
    free(p->control);
}
