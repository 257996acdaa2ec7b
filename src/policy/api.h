/* api.h: what the room keeps for one Lua state. Internal to policy. */
#pragma once

#include "policy/cells.h"
#include "policy/edit.h"
#include "policy/policy.h"

struct cell_handle;   /* handles.h */
struct redact_holder; /* redact_lua.h */

struct policy_state {
    struct reader reader;
    struct cells *cells;         /* the world of its limits and the like; NULL: own_cells */
    struct cells *own_cells;     /* made when it is asked for; owned */
    struct cell_handle *handles; /* all that its scripts declared */
    uint64_t now_ns;             /* for them; while has_time */
    bool has_time;
    bool is_quiet;          /* scripts' log lines say nothing */
    uint64_t log_window_ns; /* when the present ten seconds of log lines began */
    unsigned log_lines;     /* in them */
    bool asked_cells; /* an answer came from what other traces left; whoever looks clears it */
    struct editor editor;
    struct redact_holder *redactions; /* all that its scripts made */
    struct policy_state *shown_as;    /* whose redactions count too for what people see; or NULL */
    struct buf shown[2];              /* of policy_redacted */
};
