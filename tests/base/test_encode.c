#include "base/encode.h"
#include "check.h"

/* The vectors of RFC 4648, section 10. */
static const char *const vectors[][3] = {
    {"", "", ""},
    {"f", "Zg==", "66"},
    {"fo", "Zm8=", "666f"},
    {"foo", "Zm9v", "666f6f"},
    {"foob", "Zm9vYg==", "666f6f62"},
    {"fooba", "Zm9vYmE=", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "666f6f626172"},
};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static void the_vectors_of_the_rfc_go_both_ways(void)
{
    for (int i = 0; i < VECTORS; i++) {
        struct slice plain = slice_str(vectors[i][0]);
        uint8_t back[16];
        struct buf out;
        size_t len;

        buf_init(&out, 64, NULL);
        encode_base64(&out, plain);
        CHECK(slice_is(buf_slice(&out), vectors[i][1]));
        CHECK(decode_base64(buf_slice(&out), back, &len) &&
              slice_equal(slice_make(back, len), plain));
        buf_clear(&out);
        encode_hex(&out, plain);
        CHECK(slice_is(buf_slice(&out), vectors[i][2]));
        CHECK(decode_hex(buf_slice(&out), back, &len) && slice_equal(slice_make(back, len), plain));
        buf_fini(&out);
    }
}

static void padding_may_be_missing_and_digits_of_the_url_alphabet_are_taken(void)
{
    uint8_t back[16];
    size_t len;

    CHECK(decode_base64(slice_str("Zg"), back, &len) && len == 1 && back[0] == 'f');
    CHECK(decode_base64(slice_str("-_8"), back, &len) && len == 2 && back[0] == 0xfb);
    CHECK(decode_hex(slice_str("Ff"), back, &len) && len == 1 && back[0] == 0xff);
}

static void malformed_text_is_refused(void)
{
    uint8_t back[16];
    size_t len;

    CHECK(!decode_base64(slice_str("Z"), back, &len));
    CHECK(!decode_base64(slice_str("Zm9*"), back, &len));
    CHECK(!decode_hex(slice_str("abc"), back, &len));
    CHECK(!decode_hex(slice_str("0g"), back, &len));
}

int main(void)
{
    RUN(the_vectors_of_the_rfc_go_both_ways);
    RUN(padding_may_be_missing_and_digits_of_the_url_alphabet_are_taken);
    RUN(malformed_text_is_refused);
    return DONE();
}
