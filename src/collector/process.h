/* process.h: what the kernel says of this process and machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct process_figures {
    double cpu_seconds; /* user + system, since the start */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

void process_figures_read(struct process_figures *f);

/* Raises the soft limit of open descriptors to the hard one: a connection takes one, and the usual
 * soft limit is below the bounds that config.lua has. */
void process_raise_fds(void);

/* Descriptors that this process may have. */
unsigned process_max_fds(void);

/* CPUs that the cgroup and the affinity mask allow, at least 1. */
unsigned process_cpus(void);

/* True in a container (a Docker or Kubernetes marker is there). */
bool process_in_container(void);
