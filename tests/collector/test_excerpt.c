/* The source line of an error, with a caret under what it is about. */
#include "base/fake_disk.h"
#include "check.h"
#include "collector/excerpt.h"

#include <fcntl.h>

static struct fake_disk disk;

static void write_file(const char *path, const char *text)
{
    struct disk *d = &disk.disk;
    int fd;

    CHECK(d->open(d, path, O_WRONLY | O_CREAT, 0600, &fd, NULL) == ERR_OK);
    CHECK(d->pwrite(d, fd, text, strlen(text), 0, NULL) == ERR_OK);
    d->close(d, fd);
}

/* The excerpt of one error in a file with that text. */
static bool gives(const char *file, const char *error, const char *wanted)
{
    struct buf out;
    bool is_same;

    fake_disk_init(&disk);
    write_file("/c.lua", file);
    buf_init(&out, 1 << 20, NULL);
    excerpt_write(&disk.disk, slice_str(error), &out);
    is_same = slice_is(buf_slice(&out), wanted);
    if (!is_same)
        printf("%.*s", (int)out.len, (const char *)out.data);
    buf_fini(&out);
    fake_disk_fini(&disk);
    return is_same;
}

static const char file[] = "return {\n"
                           "  tail_sampling = { decison_wait = '5s' },\n"
                           "\tpolicies = { policy 'always_sampel', 'ü', policy 'x' },\n"
                           "  workers = 'many', workers_of = 1\n";

static void the_word_is_underlined(void)
{
    CHECK(gives(file, "/c.lua:2: unknown key tail_sampling.decison_wait; did you mean x?\n",
                "/c.lua:2: unknown key tail_sampling.decison_wait; did you mean x?\n"
                "  2 |   tail_sampling = { decison_wait = '5s' },\n"
                "    |                     ^~~~~~~~~~~~\n"));
    CHECK(gives(file, "/c.lua:3: policy 'always_sampel' is not known\n",
                "/c.lua:3: policy 'always_sampel' is not known\n"
                "  3 | \tpolicies = { policy 'always_sampel', 'ü', policy 'x' },\n"
                "    | \t                     ^~~~~~~~~~~~~\n"));
    CHECK(gives(file, "/c.lua:4: workers is wrong\n",
                "/c.lua:4: workers is wrong\n"
                "  4 |   workers = 'many', workers_of = 1\n"
                "    |   ^~~~~~~\n"));
    CHECK(gives(file, "/c.lua:4: workers is 'many'; allowed: a number\n",
                "/c.lua:4: workers is 'many'; allowed: a number\n"
                "  4 |   workers = 'many', workers_of = 1\n"
                "    |              ^~~~\n"));
}

static void behind_other_characters_the_caret_stands_right(void)
{
    CHECK(gives(file, "/c.lua:3: policy \"x\" has no options\n",
                "/c.lua:3: policy \"x\" has no options\n"
                "  3 | \tpolicies = { policy 'always_sampel', 'ü', policy 'x' },\n"
                "    | \t                                                  ^\n"));
}

static void an_error_of_the_language_is_shown_where_it_is_near(void)
{
    CHECK(gives("return { a = ) }", "/c.lua:1: unexpected symbol near ')'\n",
                "/c.lua:1: unexpected symbol near ')'\n"
                "  1 | return { a = ) }\n"
                "    |              ^\n"));
    CHECK(gives("return {", "/c.lua:1: '}' expected near '<eof>'\n",
                "/c.lua:1: '}' expected near '<eof>'\n"
                "  1 | return {\n"
                "    |         ^\n"));
}

static void without_a_word_it_is_all_of_the_line(void)
{
    CHECK(gives("  one two\n", "/c.lua:1: something else\n",
                "/c.lua:1: something else\n"
                "  1 |   one two\n"
                "    |   ^~~~~~~\n"));
}

static void what_cannot_be_shown_is_left_out(void)
{
    static const char *const errors[] = {"/other.lua:1: no such file\n",
                                         "no place at all\n",
                                         "/c.lua:0: no line\n",
                                         "/c.lua:99: no line\n",
                                         "/c.lua:x: no number\n",
                                         "/c.lua:1 no colon\n",
                                         "/c.lua:\n",
                                         "/c.lua:99999999999999: y\n",
                                         "\n"};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        CHECK(gives(file, errors[i], errors[i]));
    CHECK(gives("x = secret 'word'", "/c.lua:1: x is wrong\n", "/c.lua:1: x is wrong\n"));
    CHECK(gives("x = 'http://me:word@h'", "/c.lua:1: x is wrong\n", "/c.lua:1: x is wrong\n"));
}

static void a_long_line_is_cut_around_the_word(void)
{
    char text[2001], wanted[1024] = "/c.lua:1: unknown key zzz\n  1 | ";

    memset(text, 'a', 2000);
    text[2000] = '\0';
    memcpy(text + 1000, " zzz ", 5);
    memset(wanted + strlen(wanted), 'a', 79);
    strcat(wanted, " zzz ");
    memset(wanted + strlen(wanted), 'a', 76);
    strcat(wanted, "\n    | ");
    memset(wanted + strlen(wanted), ' ', 80);
    strcat(wanted, "^~~\n");
    CHECK(gives(text, "/c.lua:1: unknown key zzz\n", wanted));
}

static void what_a_terminal_would_obey_is_not_shown(void)
{
    CHECK(gives("a\x1b[2Jb", "/c.lua:1: b is wrong\n",
                "/c.lua:1: b is wrong\n"
                "  1 | a?[2Jb\n"
                "    | ^~~~~~\n"));
}

int main(void)
{
    RUN(the_word_is_underlined);
    RUN(behind_other_characters_the_caret_stands_right);
    RUN(an_error_of_the_language_is_shown_where_it_is_near);
    RUN(without_a_word_it_is_all_of_the_line);
    RUN(what_cannot_be_shown_is_left_out);
    RUN(a_long_line_is_cut_around_the_word);
    RUN(what_a_terminal_would_obey_is_not_shown);
    return DONE();
}
