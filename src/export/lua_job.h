/* lua_job.h: runs one job in the state of the Lua export thread (lua/moontail/exporter_run.lua). */
#pragma once

#include "export/export_lua.h"

#define LUA_JOB_INSTANCES "export.instances" /* registry: exporters by index + 1 */

/* Makes the state ready for jobs; lua_batch.c: for what scripts call in C. */
void lua_batch_attach(lua_State *L, struct export_lua *l);
void lua_job_attach(lua_State *L, struct export_lua *l);
/* Of the state's scripts; the batch that is being encoded: raises where there is none. */
struct export_lua *lua_batch_this(lua_State *L);
struct lua_job *lua_batch_current(lua_State *L);
/* lua_prometheus.c: adds what exporters of metrics to Prometheus call. */
void lua_prometheus_add(lua_State *L);
/* Fills requests, or `nothing`, or verdict (JOB_OK, JOB_REJECT) and error, or failed and error. */
void lua_job_encode(struct export_lua *l, struct lua_job *job);
/* Fills verdict, retry_s, error; replaces requests[at] for JOB_SEND. */
void lua_job_reply(struct export_lua *l, struct lua_job *job);
void lua_job_forget(struct export_lua *l, struct lua_job *job);
