/* watch.h: notices that config.lua or a script beside it has changed.
 *
 * Folders are watched, never files: editors rename over them, and a ConfigMap swaps a symbolic link
 * called ..data. Names that begin with '.' (but for ..data) and what does not end in .lua are of no
 * interest. A change counts once nothing has happened for 100 ms, or for 2 s at most. Events can be
 * lost, so every 30 s names, sizes and times are compared as well. Belongs to the builder.
 */
#pragma once

#include "base/loop.h"

#include <stdbool.h>

struct watch;

/* Watches the folder of the configuration at `path`, and policies, processors and exporters in it.
 * Where the system gives no events it is said, and changes are found every 30 s. Start-up only. */
struct watch *watch_new(const char *path, struct loop *loop);
void watch_free(struct watch *w); /* NULL is allowed */

/* True: something has changed since the last time. *due_ns: when to ask again. */
bool watch_step(struct watch *w, uint64_t now_ns, uint64_t *due_ns);
