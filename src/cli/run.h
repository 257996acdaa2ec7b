/* run.h: the collector in the foreground: signals, start lines, exit codes. Shared by run and demo.
 */
#pragma once

#include "collector/collector.h"

struct run_options {
    const char *config_path; /* NULL: the embedded one */
    bool any_port;
    const char *journal_path; /* in place of the configuration's; NULL: that one */
    /* Called once everything listens; NULL: nothing. */
    void (*started)(void *arg, struct collector *c);
    /* Called on the main thread between its steps; returns when next. NULL: never. */
    uint64_t (*tick)(void *arg, struct collector *c, uint64_t now_ns);
    /* Called when everything has stopped, before it is freed. */
    void (*ended)(void *arg, struct collector *c);
    void *arg;
};

/* Runs until SIGTERM or SIGINT has been followed to its end. Returns the exit code. */
int run_collector(const struct run_options *options);
