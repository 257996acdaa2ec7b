#include "collector/process.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The first line of a small file of the kernel's; false: there is none. */
static bool read_line(const char *path, char *line, int len)
{
    FILE *file = fopen(path, "re");
    bool read;

    if (!file)
        return false;
    read = fgets(line, len, file) != NULL;
    fclose(file);
    return read;
}

static void read_memory(struct process_figures *f)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char line[128], *rest;

    if (!read_line("/proc/self/statm", line, sizeof(line)))
        return;
    f->virtual_bytes = strtoull(line, &rest, 10) * page;
    f->resident_bytes = strtoull(rest, NULL, 10) * page;
}

static uint64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void process_figures_read(struct process_figures *f)
{
    struct rusage usage;

    memset(f, 0, sizeof(*f));
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        f->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    f->max_fds = process_max_fds();
    f->open_fds = count_fds();
    read_memory(f);
}

/* The quota of cgroup v2 ("max 100000" or "200000 100000") or v1 in CPUs; 0: none. */
static unsigned cgroup_cpus(void)
{
    char line[64], *rest;
    long long quota, period = 100000;

    if (read_line("/sys/fs/cgroup/cpu.max", line, sizeof(line))) {
        quota = strtoll(line, &rest, 10); /* of "max": 0 */
        period = strtoll(rest, NULL, 10);
    } else {
        if (!read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof(line)))
            return 0;
        quota = strtoll(line, NULL, 10);
        if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line, sizeof(line)))
            period = strtoll(line, NULL, 10);
    }
    if (quota <= 0 || period <= 0)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

void process_raise_fds(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit); /* it stays as it was */
}

unsigned process_max_fds(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (unsigned)limit.rlim_cur;
}

unsigned process_cpus(void)
{
    cpu_set_t set;
    unsigned allowed = 1, quota = cgroup_cpus();

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        allowed = (unsigned)CPU_COUNT(&set);
    if (quota > 0 && quota < allowed)
        allowed = quota;
    return allowed > 0 ? allowed : 1;
}

bool process_in_container(void)
{
    return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
           getenv("KUBERNETES_SERVICE_HOST") != NULL;
}
