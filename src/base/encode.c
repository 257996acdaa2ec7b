#include "base/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void encode_hex(struct buf *out, struct slice bytes)
{
    uint8_t *at = buf_reserve(out, bytes.len * 2);

    if (!at)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        *at++ = (uint8_t)hex_digits[bytes.data[i] >> 4];
        *at++ = (uint8_t)hex_digits[bytes.data[i] & 15];
    }
    out->len += bytes.len * 2;
}

void encode_base64(struct buf *out, struct slice bytes)
{
    size_t size = (bytes.len + 2) / 3 * 4;
    uint8_t *at = buf_reserve(out, size);

    if (!at)
        return;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)bytes.data[i] << 16;

        if (left > 1)
            bits |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            bits |= bytes.data[i + 2];
        *at++ = (uint8_t)base64_digits[bits >> 18];
        *at++ = (uint8_t)base64_digits[bits >> 12 & 63];
        *at++ = left > 1 ? (uint8_t)base64_digits[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? (uint8_t)base64_digits[bits & 63] : '=';
    }
    out->len += size;
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool decode_hex(struct slice text, uint8_t *out, size_t *len)
{
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.data[i]), low = hex_value(text.data[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *len = text.len / 2;
    return true;
}

static int base64_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == '+' || digit == '-')
        return 62;
    return digit == '/' || digit == '_' ? 63 : -1;
}

bool decode_base64(struct slice text, uint8_t *out, size_t *len)
{
    uint32_t bits = 0;
    size_t n = 0, digits = text.len;

    if (text.len % 4 == 0) {
        for (int i = 0; i < 2 && digits > 0 && text.data[digits - 1] == '='; i++)
            digits--;
    }
    if (digits % 4 == 1)
        return false;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(text.data[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0)
            out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *len = n;
    return true;
}
