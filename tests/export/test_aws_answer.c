#include "check.h"
#include "export/aws_answer.h"

#include <stdio.h>

static struct http_answer make(int status, const char *headers, const char *body)
{
    struct http_answer a = {.err = ERR_OK, .status = status};

    buf_init(&a.headers, 1 << 16, NULL);
    buf_init(&a.body, 1 << 20, NULL);
    buf_str(&a.headers, headers);
    buf_str(&a.body, body);
    return a;
}

static void end(struct http_answer *a)
{
    buf_fini(&a->headers);
    buf_fini(&a->body);
}

static void a_refusal_is_read_from_each_protocol(void)
{
    static const struct {
        int status;
        const char *headers, *body, *code;
        enum aws_refusal refusal;
    } rows[] = {
        {403, "x-amzn-errortype: InvalidSignatureException\n", "{}", "InvalidSignatureException",
         AWS_SIGNATURE},
        {403, "x-amzn-errortype: ExpiredTokenException:http://internal.amazon.com/x/\n", "",
         "ExpiredTokenException", AWS_EXPIRED},
        {400, "", "{\"__type\":\"com.amazon.coral.service#UnrecognizedClientException\"}",
         "UnrecognizedClientException", AWS_UNKNOWN},
        {400, "", "{ \"message\" : \"no\", \"__type\" : \"ExpiredTokenException\" }",
         "ExpiredTokenException", AWS_EXPIRED},
        {403, "", "{\"code\":\"AccessDeniedException\"}", "AccessDeniedException", AWS_DENIED},
        {403, "", "<ErrorResponse><Error><Code>RequestExpired</Code></Error></ErrorResponse>",
         "RequestExpired", AWS_CLOCK},
        {403, "", "<Error><Code>SignatureDoesNotMatch</Code>", "SignatureDoesNotMatch",
         AWS_SIGNATURE},
        {429, "x-amzn-errortype: ThrottledException\n", "", "ThrottledException", AWS_NOT_OURS},
        {400, "", "{\"__type\":\"InvalidRequestException\"}", "InvalidRequestException",
         AWS_NOT_OURS},
        {403, "", "", "", AWS_NOT_OURS},
        {403, "", "{\"__type\":", "", AWS_NOT_OURS},
        {403, "", "{\"__type\":\"#\"}", "", AWS_NOT_OURS},
        {200, "x-amzn-errortype: ExpiredToken\n", "", "", AWS_NOT_OURS},
        {500, "x-amzn-errortype: ExpiredToken\n", "", "", AWS_NOT_OURS},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_answer a = make(rows[i].status, rows[i].headers, rows[i].body);
        char code[64];

        CHECK(aws_answer_read(&a, code) == rows[i].refusal);
        CHECK(strcmp(code, rows[i].code) == 0);
        end(&a);
    }
}

static void a_code_is_bounded_and_printable(void)
{
    struct http_answer a = make(403, "", "");
    char code[64];

    buf_str(&a.body, "{\"__type\":\"");
    for (int i = 0; i < 1000; i++)
        buf_byte(&a.body, 'A');
    CHECK(aws_answer_read(&a, code) == AWS_NOT_OURS && strlen(code) == 63);
    end(&a);
    a = make(403, "x-amzn-errortype: Bad\x1b[31mCode\n", "");
    CHECK(aws_answer_read(&a, code) == AWS_NOT_OURS && strcmp(code, "Bad") == 0);
    end(&a);
}

static void a_date_is_read_if_it_is_one(void)
{
    static const struct {
        const char *headers;
        int64_t unix_s; /* -1: none */
    } rows[] = {
        {"date: Tue, 14 Nov 2023 22:13:20 GMT\n", 1700000000},
        {"date: soon\n", -1},
        {"date: \n", -1},
        {"", -1},
        {"date: Tue, 14 Nov 2023 22:13:20 GMT, and very much more than any date that there is\n",
         -1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_answer a = make(403, rows[i].headers, "");
        int64_t unix_s = -1;
        bool found = aws_answer_date(&a, &unix_s);

        CHECK(found == (rows[i].unix_s >= 0) && (!found || unix_s == rows[i].unix_s));
        end(&a);
    }
}

int main(void)
{
    RUN(a_refusal_is_read_from_each_protocol);
    RUN(a_code_is_bounded_and_printable);
    RUN(a_date_is_read_if_it_is_one);
    return DONE();
}
