/* The vectors of botocore (aws4_testsuite) and aws-c-auth (aws-signing-test-suite), which the
 * install script puts into the build folder. */
#include "aws/sigv4.h"
#include "check.h"

#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>
#include <yyjson.h>

#define SUITES SOURCE_DIR "/build/deps/sigv4/"

/* 2015-08-30T12:36:00Z, which all vectors have */
enum { VECTOR_TIME = 1440938160 };

struct vector {
    char *text; /* the whole request; all else points into it */
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request request;
    char method[16];
    struct sigv4_credentials credentials;
    struct sigv4_scope scope;
};

static const char secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

static char *read_file(const char *folder, const char *name)
{
    char path[4096];
    char *text = calloc(1, 65536);
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "r");
    if (!f) {
        free(text);
        return NULL;
    }
    text[fread(text, 1, 65535, f)] = '\0';
    fclose(f);
    for (size_t len = strlen(text); len && text[len - 1] == '\n'; len--)
        text[len - 1] = '\0';
    return text;
}

/* ---- a request as it stands in the files ---- */

static void parse_target(struct vector *v, char *line)
{
    char *target = strchr(line, ' ');
    char *end = strrchr(line, ' '); /* before HTTP/1.1 */
    char *query;

    snprintf(v->method, sizeof(v->method), "%.*s", (int)(target - line), line);
    *end = '\0';
    query = strchr(++target, '?');
    v->request.method = v->method;
    v->request.path = slice_make(target, query ? (size_t)(query - target) : strlen(target));
    v->request.query = slice_str(query ? query + 1 : "");
}

/* The signer gives the date itself; a line that begins with a blank belongs to the one before. */
static void parse_header(struct vector *v, char *line)
{
    struct sigv4_header *h = &v->headers[v->request.headers_len];
    char *colon = strchr(line, ':');

    if (*line == ' ') {
        h[-1].value.len = strlen(line) + (size_t)(line - (char *)h[-1].value.data);
        line[-1] = '\n';
    } else if (strncasecmp(line, "x-amz-date:", 11) == 0) {
        return;
    } else if (strncasecmp(line, "x-amz-security-token:", 21) == 0) {
        v->credentials.session_token = slice_str(colon + 1);
    } else {
        *h = (struct sigv4_header){slice_make(line, (size_t)(colon - line)), slice_str(colon + 1)};
        v->request.headers_len++;
    }
}

static bool read_vector(struct vector *v, const char *folder, const char *file)
{
    char *line, *next;

    *v = (struct vector){.text = read_file(folder, file), .request.headers = v->headers};
    if (!v->text)
        return false;
    v->credentials.access_key = slice_str("AKIDEXAMPLE");
    v->credentials.secret_key = slice_str(secret);
    v->scope = (struct sigv4_scope){.region = "us-east-1", .service = "service"};
    for (line = v->text; line && *line && *line != '\n'; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (line == v->text)
            parse_target(v, line);
        else
            parse_header(v, line);
    }
    v->request.body = slice_str(line && *line ? line + 1 : "");
    return true;
}

/* ---- what the signer makes of it ---- */

static bool text_is(struct buf *got, const char *wanted, const char *what, const char *folder)
{
    bool same = wanted && got->len == strlen(wanted) && memcmp(got->data, wanted, got->len) == 0;

    if (!same)
        printf("  %s: %s is\n%.*s\nwanted\n%s\n", folder, what, (int)got->len, (char *)got->data,
               wanted ? wanted : "(no file)");
    return same;
}

struct wanted {
    char *canonical, *to_sign, *signature; /* signature: the end of Authorization */
};

static void check_vector(struct vector *v, const struct wanted *w, const char *folder)
{
    struct buf canonical, to_sign, value;
    struct sigv4_signature signature = {.value = &value};
    size_t len = w->signature ? strlen(w->signature) : 0;

    buf_init(&canonical, 65536, NULL);
    buf_init(&to_sign, 65536, NULL);
    buf_init(&value, 65536, NULL);
    CHECK(!sigv4_texts(&v->request, &v->credentials, &v->scope, VECTOR_TIME, &canonical, &to_sign));
    CHECK(text_is(&canonical, w->canonical, "the canonical request", folder));
    CHECK(text_is(&to_sign, w->to_sign, "the string to sign", folder));
    CHECK(!sigv4_sign(&v->request, &v->credentials, &v->scope, VECTOR_TIME, &signature));
    CHECK(strcmp(signature.date, "20150830T123600Z") == 0);
    CHECK(len && value.len >= len && !memcmp(value.data + value.len - len, w->signature, len));
    buf_fini(&canonical);
    buf_fini(&to_sign);
    buf_fini(&value);
    free(w->canonical);
    free(w->to_sign);
    free(w->signature);
    free(v->text);
}

/* ---- the suites ---- */

static int vectors;

/* One request is signed with a token that stands only in what comes out; in another it is added
 * after signing. */
static void take_token(struct vector *v, const char *signed_request, const char *authorization)
{
    static const char name[] = "x-amz-security-token:";
    const char *at = signed_request ? strcasestr(signed_request, name) : NULL;
    static char kept[4096];

    if (!at || !authorization || !strstr(authorization, "x-amz-security-token"))
        return;
    at += strlen(name);
    snprintf(kept, sizeof(kept), "%.*s", (int)strcspn(at, "\r\n"), at);
    v->credentials.session_token = slice_str(kept);
}

static int check_botocore(const char *path, const struct stat *st, int type, struct FTW *at)
{
    const char *name = path + at->base;
    size_t len = strlen(name);
    char folder[4096], file[256];
    char *signed_request;
    struct vector v;
    struct wanted w;

    (void)st;
    if (type != FTW_F || len < 5 || strcmp(name + len - 4, ".req") != 0)
        return 0;
    snprintf(folder, sizeof(folder), "%.*s", at->base - 1, path);
    CHECK(read_vector(&v, folder, name));
    snprintf(file, sizeof(file), "%.*s.creq", (int)len - 4, name);
    w.canonical = read_file(folder, file);
    snprintf(file, sizeof(file), "%.*s.sts", (int)len - 4, name);
    w.to_sign = read_file(folder, file);
    snprintf(file, sizeof(file), "%.*s.authz", (int)len - 4, name);
    w.signature = read_file(folder, file);
    snprintf(file, sizeof(file), "%.*s.sreq", (int)len - 4, name);
    signed_request = read_file(folder, file);
    take_token(&v, signed_request, w.signature);
    free(signed_request);
    check_vector(&v, &w, folder);
    vectors++;
    return 0;
}

static void every_vector_of_botocore_is_signed_right(void)
{
    vectors = 0;
    CHECK(nftw(SUITES "aws4_testsuite", check_botocore, 16, FTW_PHYS) == 0);
    CHECK(vectors == 34);
}

/* Credentials and the rules of a vector: context.json. */
static void read_context(struct vector *v, const char *folder)
{
    char *text = read_file(folder, "context.json");
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *token =
        yyjson_get_str(yyjson_obj_get(yyjson_obj_get(root, "credentials"), "token"));
    static char kept[4096];

    v->scope.literal_path = !yyjson_get_bool(yyjson_obj_get(root, "normalize"));
    if (token && !yyjson_get_bool(yyjson_obj_get(root, "omit_session_token"))) {
        snprintf(kept, sizeof(kept), "%s", token);
        v->credentials.session_token = slice_str(kept);
    }
    if (yyjson_get_bool(yyjson_obj_get(root, "sign_body")))
        v->headers[v->request.headers_len++] = (struct sigv4_header){
            slice_str("X-Amz-Content-Sha256"),
            slice_str("9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e")};
    yyjson_doc_free(doc);
    free(text);
}

/* Two of them have a request only. */
static bool is_answered(const char *folder)
{
    char path[4200];

    snprintf(path, sizeof(path), "%s/header-signature.txt", folder);
    return access(path, R_OK) == 0;
}

static void every_vector_of_aws_c_auth_is_signed_right(void)
{
    DIR *suite = opendir(SUITES "aws-signing-test-suite/v4");
    int count = 0;

    CHECK(suite);
    for (struct dirent *d; suite && (d = readdir(suite));) {
        char folder[4096];
        struct vector v;

        snprintf(folder, sizeof(folder), SUITES "aws-signing-test-suite/v4/%s", d->d_name);
        if (d->d_name[0] == '.' || !read_vector(&v, folder, "request.txt"))
            continue;
        if (!is_answered(folder)) {
            free(v.text);
            continue;
        }
        read_context(&v, folder);
        check_vector(
            &v,
            &(struct wanted){.canonical = read_file(folder, "header-canonical-request.txt"),
                             .to_sign = read_file(folder, "header-string-to-sign.txt"),
                             .signature = read_file(folder, "header-signature.txt")},
            folder);
        count++;
    }
    if (suite)
        closedir(suite);
    CHECK(count == 38);
}

/* ---- what no vector has ---- */

static enum err sign(const struct sigv4_request *r, struct slice secret_key, struct buf *value)
{
    struct sigv4_credentials c = {slice_str("AKIDEXAMPLE"), secret_key, {0}};
    struct sigv4_scope scope = {.region = "eu-west-1", .service = "xray"};
    struct sigv4_signature signature = {.value = value};
    enum err e;

    buf_init(value, 65536, NULL);
    e = sigv4_sign(r, &c, &scope, VECTOR_TIME, &signature);
    buf_fini(value);
    return e;
}

static void what_is_encoded_in_the_path_is_encoded_again(void)
{
    struct sigv4_request r = {.method = "POST", .path = slice_str("/a%20b/@c")};
    struct sigv4_credentials c = {0};
    struct sigv4_scope scope = {.region = "r", .service = "s"};
    struct buf canonical;

    buf_init(&canonical, 65536, NULL);
    CHECK(!sigv4_texts(&r, &c, &scope, VECTOR_TIME, &canonical, NULL));
    CHECK(canonical.len > 22 && memcmp(canonical.data, "POST\n/a%2520b/%40c\n\n", 20) == 0);
    buf_fini(&canonical);
}

/* As libcurl sends it (RFC 3986, 5.2.4). */
static void a_path_that_ends_in_dots_ends_in_a_slash(void)
{
    static const char *const paths[] = {"/a/b/../..", "/",   "/a/b/..", "/a/",
                                        "/a/.",       "/a/", "/..",     "/"};
    struct sigv4_credentials c = {0};
    struct sigv4_scope scope = {.region = "r", .service = "s"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i += 2) {
        struct sigv4_request dots = {.method = "GET", .path = slice_str(paths[i])};
        struct sigv4_request plain = {.method = "GET", .path = slice_str(paths[i + 1])};
        struct buf a, b;

        buf_init(&a, 65536, NULL);
        buf_init(&b, 65536, NULL);
        CHECK(!sigv4_texts(&dots, &c, &scope, VECTOR_TIME, &a, NULL));
        CHECK(!sigv4_texts(&plain, &c, &scope, VECTOR_TIME, &b, NULL));
        CHECK(slice_equal(buf_slice(&a), buf_slice(&b)));
        buf_fini(&a);
        buf_fini(&b);
    }
}

static void what_is_too_much_is_refused(void)
{
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request r = {.method = "GET", .path = slice_str("/"), .headers = headers};
    char query[3 * SIGV4_PARAMETERS_MAX + 4];
    char long_secret[512];
    struct buf value;

    for (size_t i = 0; i < SIGV4_HEADERS_MAX; i++)
        headers[i] = (struct sigv4_header){slice_str("a"), slice_str("b")};
    r.headers_len = SIGV4_HEADERS_MAX - 2;
    CHECK(sign(&r, slice_str(secret), &value) == ERR_OK);
    r.headers_len++;
    CHECK(sign(&r, slice_str(secret), &value) == ERR_FULL);
    r.headers_len = 1;
    for (size_t i = 0; i <= SIGV4_PARAMETERS_MAX; i++)
        memcpy(query + 2 * i, "a&", 2);
    r.query = slice_make(query, 2 * SIGV4_PARAMETERS_MAX);
    CHECK(sign(&r, slice_str(secret), &value) == ERR_OK);
    r.query.len += 2;
    CHECK(sign(&r, slice_str(secret), &value) == ERR_FULL);
    r.query.len = 0;
    memset(long_secret, 'x', sizeof(long_secret));
    CHECK(sign(&r, slice_make(long_secret, sizeof(long_secret)), &value) == ERR_FULL);
}

int main(void)
{
    RUN(every_vector_of_botocore_is_signed_right);
    RUN(every_vector_of_aws_c_auth_is_signed_right);
    RUN(what_is_encoded_in_the_path_is_encoded_again);
    RUN(a_path_that_ends_in_dots_ends_in_a_slash);
    RUN(what_is_too_much_is_refused);
    return DONE();
}
