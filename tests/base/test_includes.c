/* The rooms keep their walls: which room may include which. */
#include "check.h"

#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>

/* A room may always include itself and base. */
static const struct {
    const char *room;
    const char *may[13];
} rules[] = {
    {"base", {NULL}},
    {"otlp", {NULL}},
    {"journal", {NULL}},
    {"lua", {NULL}},
    {"admin", {NULL}},
    {"trace", {"otlp"}},
    {"spanmetrics", {"otlp"}},
    {"prometheus", {"otlp"}},
    {"policy", {"otlp", "lua"}},
    {"aws", {NULL}},
    {"export", {"otlp", "journal", "lua", "aws", "prometheus"}},
    {"config", {"lua"}},
    {"receive", {"otlp"}},
    {"collector",
     {"otlp", "journal", "lua", "aws", "admin", "trace", "policy", "export", "config", "receive",
      "spanmetrics"}},
    {"cli",
     {"otlp", "journal", "lua", "aws", "admin", "trace", "policy", "export", "config", "receive",
      "collector", "spanmetrics"}},
};
enum { RULES = sizeof(rules) / sizeof(rules[0]) };

static int rule_of(const char *room)
{
    for (int i = 0; i < RULES; i++) {
        if (strcmp(rules[i].room, room) == 0)
            return i;
    }
    return -1;
}

static bool may_include(const char *room, const char *other)
{
    int rule = rule_of(room);

    if (strcmp(room, other) == 0 || strcmp(other, "base") == 0)
        return true;
    for (int i = 0; rule >= 0 && i < 13 && rules[rule].may[i]; i++) {
        if (strcmp(rules[rule].may[i], other) == 0)
            return true;
    }
    return false;
}

/* The room in #include "room/file", or false. What is no room is generated or a library's. */
static bool included_room(const char *line, char room[32])
{
    char file[128];

    return sscanf(line, " # include \"%31[a-z0-9_]/%127[^\"]\"", room, file) == 2 &&
           rule_of(room) >= 0;
}

static int includes_seen;

static void check_file(const char *path)
{
    const char *at = path + strlen(SOURCE_DIR "/src/");
    char room[32] = "", other[32], line[512];
    FILE *file = fopen(path, "r");

    CHECK(file != NULL && sscanf(at, "%31[a-z0-9_]/", room) == 1);
    if (rule_of(room) < 0) {
        printf("  %s: say in %s what the room '%s' may include\n", path, __FILE__, room);
        CHECK(rule_of(room) >= 0);
    }
    while (file && fgets(line, sizeof(line), file)) {
        if (!included_room(line, other))
            continue;
        includes_seen++;
        if (!may_include(room, other)) {
            printf("  %s: %s may not include %s\n", path, room, other);
            CHECK(may_include(room, other));
        }
    }
    if (file)
        fclose(file);
}

static void no_room_includes_what_it_may_not(void)
{
    glob_t found;

    includes_seen = 0;
    CHECK(glob(SOURCE_DIR "/src/*/*.[ch]*", 0, NULL, &found) == 0 && found.gl_pathc > 30);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_file(found.gl_pathv[i]);
    globfree(&found);
    CHECK(includes_seen > 50);
}

static void the_walk_through_the_rooms_leaves_none_out(void)
{
    static char text[1 << 16];
    char name[64];
    FILE *file = fopen(SOURCE_DIR "/src/README.md", "r");

    CHECK(file != NULL && fread(text, 1, sizeof(text) - 1, file) > 0);
    for (int i = 0; i < RULES; i++) {
        snprintf(name, sizeof(name), "**%s/", rules[i].room);
        if (!strstr(text, name))
            printf("  src/README.md: nothing of the room '%s'\n", rules[i].room);
        CHECK(strstr(text, name) != NULL);
    }
    if (file)
        fclose(file);
}

static void the_check_sees_a_wall_that_is_broken(void)
{
    char room[32];

    CHECK(included_room("#include \"policy/policy.h\"\n", room) && strcmp(room, "policy") == 0);
    CHECK(!may_include("trace", room) && may_include("collector", room));
    CHECK(!may_include("base", "otlp") && may_include("base", "base"));
    CHECK(may_include("export", "journal") && !may_include("journal", "export"));
    CHECK(!included_room("#include <event2/event.h>\n", room));
}

int main(void)
{
    RUN(no_room_includes_what_it_may_not);
    RUN(the_walk_through_the_rooms_leaves_none_out);
    RUN(the_check_sees_a_wall_that_is_broken);
    return DONE();
}
