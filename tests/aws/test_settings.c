/* Regions, endpoints and the shared files. */
#include "aws/region.h"
#include "fake_aws.h"

static const char config_text[] = "# a comment\n"
                                  "[default]\n"
                                  "region = eu-west-1 # there\n"
                                  "s3 =\n"
                                  "  region = no\n"
                                  "[profile build]\n"
                                  "region=us-east-2\n"
                                  "role_arn = arn:aws:iam::1:role/x#y\n"
                                  "[profile \"two words\"]\r\n"
                                  "region = ap-south-1\r\n"
                                  "[build]\n"
                                  "region = wrong\n"
                                  "[sso-session build]\n"
                                  "region = wrong\n"
                                  "[profile build]\n"
                                  "output = json\n"
                                  "[broken\n"
                                  "region = wrong\n"
                                  "[ profile  open ]\n"
                                  "region";

static bool is(struct slice found, const char *expected)
{
    return slice_is(found, expected);
}

static void ini_files_are_read_as_the_sdks_read_them(void)
{
    struct slice text = slice_str(config_text);

    CHECK(is(ini_get(text, "default", "region", true), "eu-west-1"));
    CHECK(is(ini_get(text, "build", "region", true), "us-east-2"));
    CHECK(is(ini_get(text, "build", "role_arn", true), "arn:aws:iam::1:role/x#y"));
    CHECK(is(ini_get(text, "build", "output", true), "json"));
    CHECK(is(ini_get(text, "two words", "region", true), "ap-south-1"));
    CHECK(is(ini_get(text, "build", "region", false), "wrong"));
    CHECK(is(ini_get(text, "absent", "region", true), ""));
    CHECK(is(ini_get(text, "open", "region", true), ""));
    CHECK(ini_has(text, "open", true) && !ini_has(text, "open", false));
    CHECK(!ini_has(text, "broken", true) && !ini_has(text, "sso-session build", true));
}

/* Files that the CLI and the SDKs read, whoever wrote them by hand. */
static void keys_may_be_written_in_capitals_indented_and_quoted(void)
{
    static const char text[] = " [capitals]\n"
                               "AWS_ACCESS_KEY_ID=AKIA1\n"
                               "Region: eu-west-1\n"
                               "[indented]\n"
                               "  role_arn = arn:aws:iam::1:role/x\n"
                               "\tregion = eu-west-2 ; there\n"
                               "  s3 =\n"
                               "    region = no\n"
                               "[quoted]\n"
                               "region = \"eu-west-3\"\n"
                               "role_arn = 'r'\n"
                               "credential_process = \"/a b\" \"c\"\n";
    struct slice all = slice_str(text);

    CHECK(is(ini_get(all, "capitals", "aws_access_key_id", false), "AKIA1"));
    CHECK(is(ini_get(all, "capitals", "region", false), "eu-west-1"));
    CHECK(is(ini_get(all, "indented", "role_arn", false), "arn:aws:iam::1:role/x"));
    CHECK(is(ini_get(all, "indented", "region", false), "eu-west-2"));
    CHECK(is(ini_get(all, "quoted", "region", false), "eu-west-3"));
    CHECK(is(ini_get(all, "quoted", "role_arn", false), "r"));
    CHECK(is(ini_get(all, "quoted", "credential_process", false), "\"/a b\" \"c\""));
}

static void the_credentials_file_comes_before_the_config_file(void)
{
    struct fake_aws *f = fake_aws_new(NULL);
    struct aws_settings s = {.env = fake_env, .disk = f->disk};
    struct profiles p;

    fake_file(f, "/home/.aws/config", config_text);
    fake_file(f, "/elsewhere", "[build]\nregion = eu-north-1\n");
    fake_set("AWS_SHARED_CREDENTIALS_FILE", "/elsewhere");
    profiles_read(&s, &p);
    CHECK(is(profiles_get(&p, "build", "region"), "eu-north-1"));
    CHECK(is(profiles_get(&p, "build", "output"), "json"));
    CHECK(profiles_has(&p, "build") && !profiles_has(&p, "absent"));
    profiles_fini(&p);
    fake_aws_free(f);
}

static void a_files_byte_order_mark_hides_no_section(void)
{
    struct fake_aws *f = fake_aws_new(NULL);
    struct aws_settings s = {.env = fake_env, .disk = f->disk};
    struct profiles p;

    fake_file(f, "/home/.aws/config", "\xEF\xBB\xBF[default]\r\nregion = eu-west-1\r\n");
    fake_file(f, "/home/.aws/credentials", "\xEF\xBB\xBF[default]\r\naws_access_key_id = A\r\n");
    profiles_read(&s, &p);
    CHECK(is(profiles_get(&p, "default", "region"), "eu-west-1"));
    CHECK(is(profiles_get(&p, "default", "aws_access_key_id"), "A"));
    profiles_fini(&p);
    fake_aws_free(f);
}

static bool region_is(struct fake_aws *f, const char *expected)
{
    struct aws_settings s = {.env = fake_env, .disk = f->disk};
    char region[SETTINGS_REGION_MAX] = "";
    bool found = settings_region(&s, region);

    return expected ? found && strcmp(region, expected) == 0 : !found;
}

static void the_region_is_found_in_the_sdks_order(void)
{
    struct fake_aws *f = fake_aws_new(NULL);

    CHECK(region_is(f, NULL));
    fake_file(f, "/home/.aws/config", config_text);
    CHECK(region_is(f, "eu-west-1"));
    fake_set("AWS_PROFILE", "build");
    CHECK(region_is(f, "us-east-2"));
    fake_set("AWS_DEFAULT_REGION", "sa-east-1");
    CHECK(region_is(f, "sa-east-1"));
    fake_set("AWS_REGION", "ca-central-1");
    CHECK(region_is(f, "ca-central-1"));
    fake_set("AWS_REGION", "evil.example/");
    CHECK(region_is(f, NULL));
    fake_aws_free(f);
}

static bool sts_is(struct fake_aws *f, const char *region, const char *expected,
                   const char *signed_for)
{
    struct aws_settings s = {.env = fake_env, .disk = f->disk};
    char changed[SETTINGS_REGION_MAX];
    struct buf url;
    bool ok;

    snprintf(changed, sizeof(changed), "%s", region);
    buf_init(&url, 1024, NULL);
    settings_sts(&s, changed, &url);
    ok = slice_is(buf_slice(&url), expected) && strcmp(changed, signed_for) == 0;
    buf_fini(&url);
    return ok;
}

static void sts_is_called_in_the_region(void)
{
    struct fake_aws *f = fake_aws_new(NULL);

    CHECK(sts_is(f, "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"));
    CHECK(sts_is(f, "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1"));
    CHECK(sts_is(f, "us-iso-east-1", "https://sts.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"));
    CHECK(sts_is(f, "", "https://sts.amazonaws.com", "us-east-1"));
    fake_set("AWS_STS_REGIONAL_ENDPOINTS", "legacy");
    CHECK(sts_is(f, "eu-west-1", "https://sts.amazonaws.com", "us-east-1"));
    CHECK(sts_is(f, "af-south-1", "https://sts.af-south-1.amazonaws.com", "af-south-1"));
    fake_set("AWS_STS_REGIONAL_ENDPOINTS", "regional");
    CHECK(sts_is(f, "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"));
    fake_set("AWS_ENDPOINT_URL", "http://127.0.0.1:1/");
    CHECK(sts_is(f, "eu-west-1", "http://127.0.0.1:1", "eu-west-1"));
    fake_set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2");
    CHECK(sts_is(f, "eu-west-1", "http://127.0.0.1:2", "eu-west-1"));
    fake_set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE");
    CHECK(sts_is(f, "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"));
    fake_aws_free(f);
}

static void endpoints_of_services_come_from_the_environment(void)
{
    struct fake_aws *f = fake_aws_new(NULL);
    struct aws_settings s = {.env = fake_env, .disk = f->disk};
    struct buf url;

    buf_init(&url, 1024, NULL);
    settings_endpoint(&s, "xray", "xray", "eu-west-1", &url);
    CHECK(slice_is(buf_slice(&url), "https://xray.eu-west-1.amazonaws.com"));
    settings_endpoint(&s, "xray", "xray", "us-isob-east-1", &url);
    CHECK(slice_is(buf_slice(&url), "https://xray.us-isob-east-1.sc2s.sgov.gov"));
    fake_file(f, "/home/.aws/config", "[default]\nendpoint_url = http://127.0.0.1:9//\n");
    CHECK(sts_is(f, "eu-west-1", "http://127.0.0.1:9", "eu-west-1"));
    fake_file(f, "/home/.aws/config", "");
    fake_set("AWS_USE_FIPS_ENDPOINT", "true");
    CHECK(sts_is(f, "us-gov-west-1", "https://sts-fips.us-gov-west-1.amazonaws.com",
                 "us-gov-west-1"));
    fake_set("AWS_USE_DUALSTACK_ENDPOINT", "true");
    settings_endpoint(&s, "xray", "xray", "us-east-1", &url);
    CHECK(slice_is(buf_slice(&url), "https://xray-fips.us-east-1.api.aws"));
    fake_set("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:3");
    settings_endpoint(&s, "logs", "logs", "eu-west-1", &url); /* as SDKs call it */
    CHECK(slice_is(buf_slice(&url), "http://127.0.0.1:3"));
    buf_fini(&url);
    fake_aws_free(f);
}

static void plain_http_is_only_asked_on_this_machine(void)
{
    static const char *const good[] = {
        "http://169.254.170.2/v2/x",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://127.0.0.1:80/x",
        "http://127.9.9.9/",
        "http://[::1]:8080/x",
        "http://localhost:1/x",
        "https://example.com/x",
    };
    static const char *const bad[] = {
        "http://example.com/x",
        "http://169.254.169.254/x",
        "http://169.254.170.2.example.com/",
        "http://169.254.170.2@example.com/",
        "http://127.0.0.1\\@example.com/",
        "ftp://127.0.0.1/",
        "http://",
        "http:///x",
        "http://[::1",
        "http://[fd00:ec2::24]/",
        "http://2130706433/",
        "http://127.0.0.1/ x",
        "http://127.0.0.1/\r\nX: y",
        "169.254.170.2",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(container_may_ask(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!container_may_ask(bad[i]));
}

int main(void)
{
    RUN(ini_files_are_read_as_the_sdks_read_them);
    RUN(keys_may_be_written_in_capitals_indented_and_quoted);
    RUN(a_files_byte_order_mark_hides_no_section);
    RUN(the_credentials_file_comes_before_the_config_file);
    RUN(the_region_is_found_in_the_sdks_order);
    RUN(sts_is_called_in_the_region);
    RUN(endpoints_of_services_come_from_the_environment);
    RUN(plain_http_is_only_asked_on_this_machine);
    return DONE();
}
