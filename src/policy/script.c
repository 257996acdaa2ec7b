#include "policy/script.h"

#include "base/clock.h"
#include "base/log.h"
#include "lua/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PAUSE_NS (10 * NS_PER_S) /* between two logged errors of one script */

/* ---- making ---- */

enum err script_prepare(lua_State *L, const char *module, int args, struct buf *errors)
{
    struct err_info info;
    enum err e = lua_require(L, module, &info);

    if (e) {
        lua_pop(L, args);
    } else {
        lua_getfield(L, -1, "prepare");
        lua_remove(L, -2);
        lua_insert(L, -1 - args);
        e = lua_run(L, args, 2, &info);
    }
    if (e) {
        buf_printf(errors, "%s\n", info.text);
        return ERR_CONFIG;
    }
    if (!lua_istable(L, -2)) {
        buf_str(errors, lua_tostring(L, -1));
        buf_byte(errors, '\n');
        lua_pop(L, 2);
        return ERR_CONFIG;
    }
    lua_pop(L, 1);
    return ERR_OK;
}

static char *copy_field(lua_State *L, const char *key)
{
    char *copy;

    lua_getfield(L, -1, key);
    copy = strdup(lua_tostring(L, -1));
    if (!copy)
        err_no_memory("a script");
    lua_pop(L, 1);
    return copy;
}

void script_init(struct script *s, lua_State *L, struct labels *failures)
{
    s->name = copy_field(L, "name");
    s->type = copy_field(L, "type");
    s->where = copy_field(L, "where");
    for (int i = 0; i < FAILURE_COUNT; i++)
        s->failure_labels[i] = labels_intern(
            failures, slice_str(s->name), slice_str(policy_failure_name((enum policy_failure)i)));
}

void script_fini(struct script *s)
{
    free(s->name);
    free(s->type);
    free(s->where);
}

/* ---- failures ---- */

static void log_failure(struct script *s, const struct script_words *words, const char *what,
                        const uint8_t id[16], const char *text, uint64_t now_ns)
{
    char hex[33], more[24];

    if (now_ns < s->next_log_ns) {
        s->unlogged++;
        return;
    }
    for (int i = 0; id && i < 16; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", id[i]);
    snprintf(more, sizeof(more), "%" PRIu64, s->unlogged);
    log_event(LOG_WARN, what, words->kind, s->name, "error", text, words->function, s->where,
              "trace_id", id ? hex : NULL, "not_logged_before", s->unlogged ? more : NULL);
    s->unlogged = 0;
    s->next_log_ns = now_ns + LOG_PAUSE_NS;
}

void script_failed(struct script *s, struct policy_shared *shared, const struct script_words *words,
                   const char *what, const uint8_t id[16], const char *text, uint64_t now_ns)
{
    bool out = policy_shared_failed(shared, s->health_label, now_ns);

    if (shared->on_failed) {
        struct policy_failed f = {words->kind, s->name, s->where, text, id};

        shared->on_failed(shared->on_failed_arg, &f);
        return;
    }
    if (out)
        s->next_log_ns = 0; /* the last that is heard of it */
    log_failure(s, words, what, id, text, now_ns);
    if (out)
        log_event(LOG_ERROR, words->quarantined, words->kind, s->name, "error", text,
                  words->function, s->where);
}
