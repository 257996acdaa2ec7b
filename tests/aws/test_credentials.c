#include "aws/credentials.h"
#include "check.h"

static const char *access_key, *secret_key, *session_token, *region;

static const char *env(const char *name)
{
    static const struct {
        const char *name;
        const char **value;
    } known[] = {{"AWS_ACCESS_KEY_ID", &access_key},
                 {"AWS_SECRET_ACCESS_KEY", &secret_key},
                 {"AWS_SESSION_TOKEN", &session_token},
                 {"AWS_DEFAULT_REGION", &region}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return *known[i].value;
    return NULL;
}

static struct credentials *make(void)
{
    return credentials_new(&(struct credentials_config){.env = env});
}

static void those_of_the_environment_are_found(void)
{
    struct credentials *c = make();
    const struct sigv4_credentials *found;

    access_key = "AKIDEXAMPLE";
    secret_key = "secret";
    session_token = "token";
    found = credentials_get(c, 1);
    CHECK(found && slice_is(found->access_key, "AKIDEXAMPLE"));
    CHECK(found && slice_is(found->secret_key, "secret"));
    CHECK(found && slice_is(found->session_token, "token"));
    CHECK(credentials_error(c)[0] == '\0');
    credentials_rejected(c);
    CHECK(credentials_get(c, 1) != NULL);
    credentials_free(c);
}

static void without_any_a_sentence_says_what_is_missing(void)
{
    struct credentials *c = make();

    access_key = "";
    CHECK(credentials_get(c, 1) == NULL);
    CHECK(strstr(credentials_error(c), "AWS_ACCESS_KEY_ID") != NULL);
    access_key = "AKIDEXAMPLE";
    secret_key = NULL;
    CHECK(credentials_get(c, 1) == NULL);
    CHECK(strstr(credentials_error(c), "AWS_SECRET_ACCESS_KEY") != NULL);
    CHECK(strstr(credentials_error(c), "AKIDEXAMPLE") == NULL);
    credentials_free(c);
}

static void a_region_comes_from_the_environment(void)
{
    struct credentials *c = make();

    CHECK(credentials_region(c) == NULL);
    region = "eu-west-1";
    CHECK(strcmp(credentials_region(c), "eu-west-1") == 0);
    credentials_free(c);
}

int main(void)
{
    RUN(those_of_the_environment_are_found);
    RUN(without_any_a_sentence_says_what_is_missing);
    RUN(a_region_comes_from_the_environment);
    return DONE();
}
