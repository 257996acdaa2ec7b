/* journal_place.h: where the journal is that a command looks at. */
#pragma once

#include "cli/cli.h"

#include <stdbool.h>

struct journal_place {
    const char *config;  /* --config FILE; NULL: the configuration that is built in */
    char *path;          /* of the folder: --journal PATH, or the configuration's. Owned. */
    const char *journal; /* --journal PATH; NULL: it was not given */
    char *arguments;     /* " --config FILE" or " --journal PATH", as they were given, for a shell:
                          * hints name commands that can be copied; "": neither was. Owned. */
    char *control;       /* of the control socket; NULL: there is none. Owned. */
    bool has_door;       /* the configuration that was read drops spans as they come */
    char hash[17];       /* of the configuration as it reads here; "": none was read */
};

/* Takes --config FILE or --journal PATH at argv[*i], moves *i behind it and returns true; false:
 * it is another argument. *code is not 0 when it was said that its value is missing. */
bool journal_place_option(struct journal_place *p, const struct cli_command *command, char **argv,
                          int *i, int *code);
/* Fills what the options left open. Returns an exit code; not 0: it was said why. */
int journal_place_find(struct journal_place *p);
void journal_place_fini(struct journal_place *p);
