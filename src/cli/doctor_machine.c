/* What this machine and its limits give. */
#include "admin/admin.h"
#include "base/clock.h"
#include "base/net.h"
#include "cli/doctor.h"
#include "collector/descriptors.h"
#include "collector/process.h"
#include "lua/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double mib = 1024.0 * 1024;

/* ---- machine code ---- */

void doctor_check_jit(struct doctor *d, const struct config *config)
{
    struct lua_options options = {.jit = LUA_JIT_ON};
    lua_State *L;

    if (strcmp(config->jit, "off") == 0) {
        doctor_say(d, FINDING_OK, "jit", "off, as configured");
        return;
    }
    L = lua_state_new(&options);
    if (L && lua_state_jit(L)) {
        doctor_say(d, FINDING_OK, "jit", "machine code is allowed: policies run compiled");
    } else {
        doctor_say(d, FINDING_WARN, "jit", "no executable memory here: policies run interpreted");
        doctor_advise(
            "MemoryDenyWriteExecute= of systemd, or SELinux; jit = \"off\" says it is meant");
    }
    if (L)
        lua_state_close(L);
}

/* ---- memory ---- */

/* The number in a file; 0: there is none, or "max". */
static uint64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[64] = "";
    uint64_t value = 0;

    if (file && fgets(line, sizeof(line), file))
        value = strtoull(line, NULL, 10);
    if (file)
        fclose(file);
    return value < UINT64_C(1) << 60 ? value : 0; /* v1's "none" is a huge one */
}

/* The path of this process in cgroup v2: "/", "/system.slice/x.service". */
static void read_cgroup(char *path, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[2048];

    snprintf(path, size, "/");
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            snprintf(path, size, "%s", line + 3);
    }
    if (file)
        fclose(file);
}

/* The least limit of the cgroup and of those above it; 0: none. */
static uint64_t cgroup_memory(void)
{
    char path[2048], file[2560];
    uint64_t least = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");

    read_cgroup(path, sizeof(path));
    for (;;) {
        uint64_t limit;
        char *slash = strrchr(path, '/');

        snprintf(file, sizeof(file), "/sys/fs/cgroup%s/memory.max", path);
        limit = read_number(file);
        if (limit && (!least || limit < least))
            least = limit;
        if (!slash || path[0] == '\0')
            return least;
        *slash = '\0';
    }
}

void doctor_check_memory(struct doctor *d, const struct config *config)
{
    uint64_t limit = cgroup_memory();
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    double ours = (double)config->memory.limit;
    bool is_group = limit && limit < machine;
    double room = (double)(is_group ? limit : machine);
    const char *whose = is_group ? "the cgroup" : "the machine";

    if (ours > room) {
        doctor_say(d, FINDING_FAIL, "memory", "memory_limiter.limit is %.0f MiB, %s has %.0f",
                   ours / mib, whose, room / mib);
        doctor_advise("the kernel ends it before it refuses: limit = \"%.0fMiB\" at most",
                      room * 0.8 / mib);
    } else if (ours > room * 0.9) {
        doctor_say(d, FINDING_WARN, "memory",
                   "memory_limiter.limit is %.0f of %.0f MiB that %s has", ours / mib, room / mib,
                   whose);
        doctor_advise("code and stacks need some, too: leave a fifth, limit = \"%.0fMiB\"",
                      room * 0.8 / mib);
    } else {
        doctor_say(d, FINDING_OK, "memory", "memory_limiter.limit is %.0f of %.0f MiB that %s has",
                   ours / mib, room / mib, whose);
    }
}

/* ---- limits of a process ---- */

void doctor_check_limits(struct doctor *d, const struct config *config)
{
    unsigned workers = setup_workers(config, process_cpus());
    struct descriptors shares;
    struct err_info info;

    if (!descriptors_share(config, workers, process_max_fds(), &shares, &info))
        return;
    doctor_say(d, FINDING_FAIL, "limits", "%s", info.text);
    doctor_advise("each connection takes one more");
}

/* ---- the journal ---- */

/* Makes and removes a file. 0, or why not. */
static int try_write(const char *folder)
{
    char path[4096];
    int fd, error = 0;

    if (snprintf(path, sizeof(path), "%s/.doctor-%ld", folder, (long)getpid()) >= (int)sizeof(path))
        return ENAMETOOLONG;
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    if (write(fd, "x", 1) != 1 || fdatasync(fd) != 0)
        error = errno;
    close(fd);
    unlink(path);
    return error;
}

/* The nearest folder above `path` that is there. */
static void parent_that_is(const char *path, char *out, size_t size)
{
    struct stat st;

    snprintf(out, size, "%s", path);
    while (stat(out, &st) != 0) {
        char *slash = strrchr(out, '/');

        if (!slash || slash == out) {
            snprintf(out, size, "%s", slash ? "/" : ".");
            return;
        }
        *slash = '\0';
    }
}

struct used {
    const char *folder;
    uint64_t bytes;
};

static void add_size(void *arg, const char *name)
{
    struct used *u = arg;
    char path[4096];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", u->folder, name);
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        u->bytes += (uint64_t)st.st_blocks * 512;
}

static void check_space(struct doctor *d, const struct config *config, const char *folder,
                        bool is_there)
{
    struct used used = {.folder = folder};
    struct disk *disk = disk_system();
    uint64_t free_bytes, total;
    struct err_info info;
    double left, share = config->journal.min_free, wanted = (double)config->journal.max_size;

    if (disk->space(disk, folder, &free_bytes, &total, &info)) {
        doctor_say(d, FINDING_FAIL, "journal", "%s", info.text);
        return;
    }
    if (disk->list(disk, folder, add_size, &used, NULL))
        used.bytes = 0;
    left = (double)(free_bytes + used.bytes) - (share < 1 ? share * (double)total : share);
    if (left >= wanted) {
        doctor_say(d, FINDING_OK, "journal", "%s %s; %.0f MiB are free for its %.0f",
                   config->journal.path, is_there ? "is writable" : "will be made", left / mib,
                   wanted / mib);
        return;
    }
    doctor_say(d, left < 16 * mib ? FINDING_FAIL : FINDING_WARN, "journal",
               "%s: journal.max_size is %.0f MiB, and %.0f are left beside min_free",
               config->journal.path, wanted / mib, left > 0 ? left / mib : 0);
    doctor_advise("make room, or lower journal.max_size or journal.min_free");
}

void doctor_check_journal(struct doctor *d, const struct config *config)
{
    const char *path = config->journal.path;
    char folder[4096];
    bool is_there;
    struct err_info info;
    int error;

    if (setup_journal_fits(config, setup_workers(config, process_cpus()), &info)) {
        doctor_say(d, FINDING_FAIL, "journal", "%s", info.text);
        doctor_advise(
            "workers = 0 is as many as this machine has CPUs, as far as memory_limiter has room");
        return;
    }
    parent_that_is(path, folder, sizeof(folder));
    is_there = strcmp(folder, path) == 0;
    error = is_there ? try_write(folder) : access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    if (!error) {
        check_space(d, config, folder, is_there);
        return;
    }
    doctor_say(d, FINDING_FAIL, "journal", "%s can't be %s: %s", path,
               is_there ? "written to" : "made", strerror(error));
    doctor_advise("give it to this user (uid %u), or name another one in journal.path",
                  (unsigned)getuid());
}

/* ---- the control socket ---- */

/* In a folder of its own: that of the journal is looked at already. */
static enum err look_at_folder(const char *socket, struct err_info *info)
{
    char folder[4096], *slash;

    snprintf(folder, sizeof(folder), "%s", socket);
    slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, sizeof(folder), ".");
    else
        slash[slash == folder] = '\0'; /* "/x" is in "/" */
    if (access(folder, W_OK | X_OK) == 0)
        return ERR_OK;
    return err_fail(info, ERR_IO, "%s can't be made in its folder %s: %s", socket, folder,
                    strerror(errno));
}

void doctor_check_control(struct doctor *d, const struct config *config)
{
    bool is_in_journal = strcmp(config->admin_control, "unix") == 0;
    char *path = config_control_path(config->admin_control, config->journal.path);
    struct err_info info;
    enum err e;

    if (!path)
        return;
    e = is_in_journal ? ERR_OK : look_at_folder(path, &info);
    if (!e)
        e = admin_control_look(path, &info);
    free(path);
    if (!e || (is_in_journal && access(config->journal.path, X_OK) != 0 && errno == EACCES))
        return; /* the journal's line says that its folder is somebody else's */
    doctor_say(d, FINDING_FAIL, "control", "%s", info.text);
    doctor_advise("another path in admin.control, of a folder that is there, or \"off\"");
}

/* ---- ports ---- */

/* What helps depends on why it can't be listened on. */
static void advise_port(const char *why)
{
    if (strstr(why, strerror(EADDRNOTAVAIL)))
        doctor_advise(
            "no interface of this machine has it: `ip addr` shows those; \":PORT\" is all "
            "of them");
    else if (strstr(why, strerror(EACCES)))
        doctor_advise("ports below 1024 take CAP_NET_BIND_SERVICE: take another one");
    else if (strstr(why, strerror(EADDRINUSE)))
        doctor_advise("ss -ltnp says who has it; or another address in config.lua");
    else
        doctor_advise("another address in config.lua");
}

/* A collector with this configuration answers. */
static bool runs(const struct config *config)
{
    struct err_info info;
    struct buf answer;
    int status = 0;
    bool well;

    if (!config->admin_listen)
        return false;
    buf_init(&answer, 64 << 10, NULL);
    well = admin_probe(config->admin_listen, "/livez", 2 * NS_PER_S, &status, &answer, &info) ==
               ERR_OK &&
           status == 200;
    buf_fini(&answer);
    return well;
}

static void check_port(struct doctor *d, const char *name, const char *listen, bool is_running)
{
    struct net *net = net_system();
    struct err_info info;
    char bound[64];
    int fd;

    if (net->listen(net, listen, &fd, bound, &info) == ERR_OK) {
        net->close(net, fd);
        doctor_say(d, FINDING_OK, "port", "%s %s is free", name, listen);
    } else if (is_running && strstr(info.text, strerror(EADDRINUSE))) {
        doctor_say(d, FINDING_OK, "port", "%s %s is in use, and a moontail runs", name, listen);
    } else {
        doctor_say(d, FINDING_FAIL, "port", "%s: %s", name, info.text);
        advise_port(info.text);
    }
}

void doctor_check_ports(struct doctor *d, const struct config *config)
{
    bool is_running = runs(config);

    if (config->grpc.enabled)
        check_port(d, "otlp/grpc", config->grpc.listen, is_running);
    if (config->http.enabled)
        check_port(d, "otlp/http", config->http.listen, is_running);
    if (config->admin_listen)
        check_port(d, "admin", config->admin_listen, is_running);
}
