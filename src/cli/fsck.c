/* moontail fsck: whether a journal's folder is whole, and what is lost where it is not. */
#include "journal/fsck.h"

#include "cli/journal_place.h"

#include <stdio.h>
#include <string.h>

static const char *const uses[] = {"", "frames", "outbox", "decisions"};

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#define N(n) (unsigned long long)(n), plural(n)

/* ---- damage, a line each ---- */

static void say_frame(const struct fsck_damage *d)
{
    unsigned long long n = d->items;

    switch (d->frame) {
    case FRAME_TRACES:
        printf("a frame with %llu span%s", n, plural(n));
        break;
    case FRAME_METRICS:
        printf("a frame with %llu data point%s", n, plural(n));
        break;
    case FRAME_LOGS:
        printf("a frame with %llu log record%s", n, plural(n));
        break;
    case FRAME_KEEP:
        printf("a kept trace with %llu span%s", n, plural(n));
        break;
    case FRAME_DECISIONS:
        printf("a frame with %llu decision%s", n, plural(n));
        break;
    case FRAME_NAMES:
        printf("the names of policies and exporters for what follows");
        break;
    default:
        printf("a frame of a kind that is not known");
    }
}

static void say_header(const struct fsck_damage *d)
{
    printf("the header of a segment");
    if (d->is_known)
        printf(" with up to %llu item%s in %llu frame%s, if it was live", N(d->items),
               N(d->frames));
}

static void say_cut(const struct fsck_damage *d)
{
    if (d->segments == 0)
        printf("the file has not a byte left of what it held");
    else
        printf("the file ends where it had %llu more segment%s, from the %llu. on, with %llu bytes "
               "and at most %llu frame%s",
               N(d->segments), (unsigned long long)d->first + 1, (unsigned long long)d->bytes,
               N(d->frames));
}

static void say_what(const struct fsck_damage *d)
{
    switch (d->kind) {
    case FSCK_HEADER:
        say_header(d);
        break;
    case FSCK_VERSION:
        printf("a segment of another version of the format");
        break;
    case FSCK_SHORT:
        printf("the file ends %llu bytes before the segment does", (unsigned long long)d->bytes);
        break;
    case FSCK_CUT:
        say_cut(d);
        break;
    case FSCK_FRAME:
        say_frame(d);
        break;
    case FSCK_GAP:
        printf("the header of a frame; %llu bytes can't be told", (unsigned long long)d->bytes);
        break;
    case FSCK_ACKED:
        printf(d->is_known ? "one of two copies of the exporters' positions; nothing is lost"
                           : "the exporters' positions: what is queued is sent again");
        break;
    case FSCK_FILE:
        printf("it can't be read");
        break;
    }
}

static void on_damage(void *arg, const struct fsck_damage *d)
{
    printf("  %s at %llu: ", d->file, (unsigned long long)d->offset);
    say_what(d);
    if (d->use)
        printf(" (%s%s)", uses[d->use], d->is_live ? "" : ", free: nothing that is needed");
    puts(d->is_repaired ? "; repaired" : "");
    ++*(unsigned *)arg;
}

/* ---- counts ---- */

static void say_use(const struct fsck_counts *c, enum segment_use use)
{
    printf("  %-10s %llu live segment%s, %llu free", uses[use], N(c->uses[use].live),
           (unsigned long long)c->uses[use].free);
    if (use == USE_DECISIONS)
        printf("; %llu decision%s\n", N(c->decisions));
    else
        printf("; %llu frame%s, %llu item%s\n", N(c->uses[use].frames), N(c->uses[use].items));
}

static void say_counts(const char *path, const struct fsck_counts *c)
{
    printf("%s: %llu file%s, %llu segment%s\n", path, N(c->files), N(c->segments));
    for (enum segment_use use = USE_FRAMES; use <= USE_DECISIONS; use++)
        say_use(c, use);
    printf("  %-10s %llu segment%s\n", "never used", N(c->fresh));
    if (c->cut)
        printf("  %-10s %llu segment%s\n", "cut off", N(c->cut));
    printf("  %-10s %u good cop%s, %u damaged\n", "acked", c->acked_good,
           c->acked_good == 1 ? "y" : "ies", c->acked_damaged);
}

static void say_end(const struct fsck_counts *c, bool repair)
{
    if (c->damages == 0) {
        puts("no damage");
        return;
    }
    printf("%llu place%s damaged, %llu repaired", N(c->damages), (unsigned long long)c->repaired);
    if (c->lost_items)
        printf("; up to %llu item%s lost", N(c->lost_items));
    if (!repair)
        puts("; nothing was changed: --repair writes what can be");
    else
        puts(c->repaired < c->damages ? "; the rest is stepped over at the next start" : "");
}

static int check(const char *path, bool repair)
{
    struct fsck_counts counts;
    struct err_info info;
    unsigned said = 0;
    enum err err = fsck_run(disk_system(), path, repair, on_damage, &said, &counts, &info);

    if (err) {
        fflush(stdout);
        fprintf(stderr, "moontail: %s\n", info.text);
        return EXIT_CANTCREAT;
    }
    say_counts(path, &counts);
    say_end(&counts, repair);
    return counts.damages ? EXIT_FAILED : EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "fsck", .synopsis = "[--repair] [--config FILE | --journal PATH]",
            .summary = "whether the journal's folder is whole; exit 1 if it is damaged",
            .run = run);

static int run(int argc, char **argv)
{
    struct journal_place place = {0};
    bool repair = false;
    int code = EXIT_OK;

    for (int i = 1; i < argc && !code; i++) {
        if (journal_place_option(&place, &command, argv, &i, &code))
            continue;
        if (strcmp(argv[i], "--repair") == 0)
            repair = true;
        else
            code = cli_usage(&command, "there is no argument '%s'", argv[i]);
    }
    if (!code)
        code = journal_place_find(&place);
    if (!code)
        code = check(place.path, repair);
    journal_place_fini(&place);
    return code;
}
