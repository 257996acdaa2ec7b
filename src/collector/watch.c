#include "collector/watch.h"

#include "base/hash.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDERS = 5 };

static const uint64_t quiet_ns = 100 * NS_PER_MS;
static const uint64_t patience_ns = 2 * NS_PER_S; /* while something changes all the time */
static const uint64_t look_ns = 30 * NS_PER_S;

static const char *const folders_below[] = {"policies", "processors", "exporters"};

struct watch {
    char path[PATH_MAX];
    char folders[FOLDERS][PATH_MAX]; /* "" for none */
    struct loop *loop;
    int fd; /* -1: no events */
    struct loop_watch *events;
    uint64_t first_ns, last_ns; /* of events since the last time; 0: none */
    uint64_t fingerprint;
    uint64_t next_look_ns;
};

/* ---- which folders ---- */

static void folder_of(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(folder, PATH_MAX, ".");
    else
        snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Where a config.lua that is a link leads to. What leads to ..data is replaced by its swap. */
static void follow_link(const char *path, char folder[PATH_MAX])
{
    char to[PATH_MAX], real[PATH_MAX];
    ssize_t len = readlink(path, to, sizeof(to) - 1);

    folder[0] = '\0';
    if (len < 0)
        return;
    to[len] = '\0';
    if (!strstr(to, "..data/") && realpath(path, real))
        folder_of(real, folder);
}

static void find_folders(struct watch *w, const char *path)
{
    char folder[PATH_MAX];

    folder_of(path, folder);
    memcpy(w->folders[0], folder, sizeof(folder));
    for (int i = 0; i < 3; i++)
        if (snprintf(w->folders[i + 1], PATH_MAX, "%s/%s", folder, folders_below[i]) >= PATH_MAX)
            w->folders[i + 1][0] = '\0';
    snprintf(w->path, sizeof(w->path), "%s", path);
}

/* ---- events ---- */

/* Those that are there now; what is watched already stays as it is. */
static void add_folders(struct watch *w)
{
    const uint32_t mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR;

    for (int i = 0; w->fd >= 0 && i < FOLDERS; i++)
        if (w->folders[i][0])
            (void)inotify_add_watch(w->fd, w->folders[i], mask); /* absent: looked for again */
}

static bool is_script(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

static bool is_folder_of_ours(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, folders_below[i]) == 0)
            return true;
    return false;
}

/* A file that is only created is still being written. */
static bool matters(const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW)
        return true;
    if (e->len == 0)
        return false;
    if (is_folder_of_ours(e->name))
        return true;
    return !(e->mask & IN_CREATE) && (is_script(e->name) || strcmp(e->name, "..data") == 0);
}

static void on_events(void *arg, unsigned ready)
{
    struct watch *w = arg;
    _Alignas(struct inotify_event) char events[8192];
    uint64_t now_ns = clock_now_ns(loop_clock(w->loop));
    ssize_t len;

    (void)ready;
    while ((len = read(w->fd, events, sizeof(events))) > 0)
        for (char *at = events; at < events + len;) {
            const struct inotify_event *e = (const struct inotify_event *)at;

            at += sizeof(*e) + e->len;
            if (!matters(e))
                continue;
            w->last_ns = now_ns;
            if (w->first_ns == 0)
                w->first_ns = now_ns;
        }
}

static void init_events(struct watch *w)
{
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        log_event(LOG_WARN, "changes of the configuration are seen every 30 s only", "error",
                  strerror(errno));
        return;
    }
    w->events = loop_watch_new(w->loop, w->fd, on_events, w);
    if (!w->events)
        err_no_memory("the watch of the configuration");
    loop_watch_set(w->events, LOOP_READ);
    add_folders(w);
}

/* ---- looking ---- */

static uint64_t hash_file(int folder, const char *name)
{
    const struct hash_key zero = {0, 0};
    struct stat st;
    uint64_t what[4];

    if (fstatat(folder, name, &st, 0) != 0)
        return 0;
    what[0] = siphash24(zero, (const uint8_t *)name, strlen(name));
    what[1] = (uint64_t)st.st_ino;
    what[2] = (uint64_t)st.st_size;
    what[3] = (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
    return siphash24(zero, (const uint8_t *)what, sizeof(what));
}

/* A sum, since names come in any order. */
static uint64_t look(const struct watch *w)
{
    uint64_t sum = 0;

    for (int i = 0; i < FOLDERS; i++) {
        DIR *dir = w->folders[i][0] ? opendir(w->folders[i]) : NULL;
        const struct dirent *entry;

        while (dir && (entry = readdir(dir)))
            if (is_script(entry->d_name))
                sum += hash_file(dirfd(dir), entry->d_name);
        if (dir)
            closedir(dir);
    }
    return sum;
}

static bool has_changed(struct watch *w, uint64_t now_ns)
{
    uint64_t before = w->fingerprint;

    w->next_look_ns = now_ns + look_ns;
    follow_link(w->path, w->folders[4]);
    w->fingerprint = look(w);
    add_folders(w);
    return w->fingerprint != before;
}

bool watch_step(struct watch *w, uint64_t now_ns, uint64_t *due_ns)
{
    bool changed = false;

    if (w->first_ns > 0) {
        uint64_t due = earlier_ns(w->last_ns + quiet_ns, w->first_ns + patience_ns);

        *due_ns = due;
        if (now_ns < due)
            return false;
        w->first_ns = w->last_ns = 0;
        (void)has_changed(w, now_ns); /* the event says so: times are coarse */
        changed = true;
    } else if (now_ns >= w->next_look_ns) {
        changed = has_changed(w, now_ns);
    }
    *due_ns = w->next_look_ns;
    return changed;
}

struct watch *watch_new(const char *path, struct loop *loop)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        err_no_memory("the watch of the configuration");
    w->loop = loop;
    find_folders(w, path);
    init_events(w);
    (void)has_changed(w, clock_now_ns(loop_clock(loop)));
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    loop_watch_free(w->events);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}
