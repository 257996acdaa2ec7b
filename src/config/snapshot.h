/* snapshot.h: what lies behind struct config; for this room's files only. */
#pragma once

#include "base/buf.h"
#include "config/config.h"

#include <stdbool.h>

struct snapshot {
    struct config config; /* first: config_free gets here */
    struct schema_store store;
    const char *tracestate;       /* "auto" | "always" */
    struct schema_pair *detected; /* texts in the store; NULL: none */
};

struct config_answer {
    struct config_answer *next;
    char *text; /* NULL: it had none (a variable that is not set) */
    size_t len;
    char question[]; /* "env NAME", "file PATH", "script PATH" */
};

struct config_recording {
    char *text; /* of config.lua */
    size_t len;
    struct config_answer *answers, **last; /* in the order of asking */
    size_t folder_len;                     /* of the part of scripts' paths that is left out */
};

/* Who answers env and file while a config.lua runs. */
struct loader {
    const struct config_source *source;
    struct config_recording *recording;
    bool replay; /* only the recording answers */
    const char *folder;
};

/* A recording of nothing yet; takes `text`. */
struct config_recording *recording_new(char *text, size_t len);
/* Pushes onto L a function ask(kind, name) -> text, or nil and why. The loader is borrowed until
 * config.lua has been checked. */
void recording_push_ask(lua_State *L, struct loader *loader);
/* Reads scripts (lua_read_fn), and records what they said, or that there is none; the other only
 * asks the recording first. */
enum err recording_read(void *recording, struct disk *disk, const char *path, size_t max,
                        char **text, size_t *len, struct err_info *info) MUST_CHECK;
enum err recording_read_again(void *recording, struct disk *disk, const char *path, size_t max,
                              char **text, size_t *len, struct err_info *info) MUST_CHECK;
/* The text and all answers into one number. */
uint64_t recording_hash(const struct config_recording *r);
