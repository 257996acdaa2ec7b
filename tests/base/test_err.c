#include "base/err.h"
#include "check.h"

static void a_failure_carries_its_sentence(void)
{
    struct err_info info;

    CHECK(err_fail(&info, ERR_CONFIG, "%s:%d: no", "config.lua", 3) == ERR_CONFIG);
    CHECK(info.code == ERR_CONFIG && strcmp(info.text, "config.lua:3: no") == 0);
    CHECK(err_fail(NULL, ERR_IO, "nobody listens") == ERR_IO);
}

static void every_error_has_a_name(void)
{
    for (int e = 0; e < ERR_COUNT; e++)
        CHECK(err_name((enum err)e)[0] != '\0');
    CHECK(strcmp(err_name((enum err)99), "unknown") == 0);
}

int main(void)
{
    RUN(a_failure_carries_its_sentence);
    RUN(every_error_has_a_name);
    return DONE();
}
