/* The Lua export thread: answers jobs. */
#include "export/export_lua.h"

#include "base/log.h"
#include "export/lua_job.h"
#include "export/lua_spec.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { RING_JOBS = 1024, JOBS_A_STEP = 16 };

struct export_lua *export_lua_new(struct export *e)
{
    struct export_lua *l = calloc(1, sizeof(*l));

    if (!l)
        err_no_memory("exporters in Lua");
    l->owner = e;
    ring_init(&l->to_lua, RING_JOBS, sizeof(struct lua_job *));
    ring_init(&l->from_lua, RING_JOBS, sizeof(struct lua_job *));
    return l;
}

static struct lua_job *take_waiting(struct export_lua *l)
{
    struct lua_job *job = l->first;

    if (!job)
        return NULL;
    l->first = job->next;
    if (!l->first)
        l->last = NULL;
    return job;
}

void export_lua_free(struct export_lua *l)
{
    struct lua_job *job;

    while (ring_pop(&l->to_lua, &job) || ring_pop(&l->from_lua, &job) || (job = take_waiting(l)))
        job_free(job);
    lua_state_close(l->next);
    lua_state_close(l->L);
    for (size_t i = 0; i < EXPORTER_MAX; i++)
        prom_state_free(l->prometheus[i]);
    ring_fini(&l->to_lua);
    ring_fini(&l->from_lua);
    free(l);
}

static void push_waiting(struct export_lua *l)
{
    bool pushed = false;

    while (l->first && ring_space(&l->to_lua) > 0) {
        struct lua_job *job = take_waiting(l);

        pushed |= ring_push(&l->to_lua, &job);
    }
    if (pushed && l->owner->config.lua_loop)
        loop_wake(l->owner->config.lua_loop);
}

void export_lua_ask(struct export_lua *l, struct lua_job *job)
{
    job->next = NULL;
    if (l->last)
        l->last->next = job;
    else
        l->first = job;
    l->last = job;
    push_waiting(l);
}

void export_lua_collect(struct export_lua *l)
{
    struct lua_job *job;
    bool taken = false;

    for (; ring_pop(&l->from_lua, &job); taken = true)
        lua_job_back(l->owner, job);
    push_waiting(l);
    if (taken && l->owner->config.lua_loop) /* it may have waited for room */
        loop_wake(l->owner->config.lua_loop);
}

/* ---- the Lua thread ---- */

enum err export_lua_ready(struct export *e, const struct exporter_specs *specs, lua_State *L,
                          const struct exporter_source *source, struct err_info *info)
{
    enum err result = ERR_OK;

    lua_job_attach(L, e->lua);
    lua_newtable(L);
    for (size_t i = 0; i < specs->count && result == ERR_OK; i++) {
        int top = lua_gettop(L);

        if (!specs->items[i].is_lua)
            continue;
        lua_rawgeti(L, source->exporters, (int)i + 1);
        result = lua_spec_open(L, source, top + 1, info);
        if (result == ERR_OK)
            lua_rawseti(L, top, (int)specs->items[i].bit + 1);
        lua_settop(L, top);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_JOB_INSTANCES);
    return result;
}

enum err export_lua_attach(struct export *e, lua_State *L, const struct exporter_source *source,
                           struct err_info *info)
{
    enum err result = export_lua_ready(e, e->exporters[0].specs, L, source, info);

    if (result == ERR_OK)
        e->lua->L = L;
    return result;
}

void export_lua_move(struct export_lua *l)
{
    struct lua_job *job = calloc(1, sizeof(*job));

    if (!job)
        abort();
    *job = (struct lua_job){.ask = JOB_MOVE, .L = l->next};
    l->next = NULL;
    export_lua_ask(l, job);
}

/* What was asked before has been answered. */
static void move(struct export_lua *l, struct lua_job *job)
{
    lua_State *past = l->L;

    l->L = job->L;
    job->L = NULL;
    lua_state_close(past);
}

static void answer(struct export_lua *l, struct lua_job *job)
{
    switch (job->ask) {
    case JOB_ENCODE:
        lua_job_encode(l, job);
        break;
    case JOB_REPLY:
        lua_job_reply(l, job);
        break;
    case JOB_FORGET:
        lua_job_forget(l, job);
        break;
    case JOB_MOVE:
        move(l, job);
        break;
    }
}

uint64_t export_lua_step(struct export *e, uint64_t now_ns)
{
    struct export_lua *l = e->lua;
    struct lua_job *job;

    for (int i = 0; i < JOBS_A_STEP; i++) {
        if (ring_space(&l->from_lua) == 0 || !ring_pop(&l->to_lua, &job))
            return NEVER_NS; /* woken by the other thread */
        answer(l, job);
        if (!ring_push(&l->from_lua, &job))
            abort(); /* there was space, and nobody else writes */
        if (e->config.loop)
            loop_wake(e->config.loop);
    }
    return now_ns;
}
