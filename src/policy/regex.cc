extern "C" {
#include "policy/regex.h"
}

#include <new>
#include <re2/re2.h>

struct regex {
    explicit regex(const re2::StringPiece &pattern, const re2::RE2::Options &options)
        : re(pattern, options)
    {
    }
    re2::RE2 re;
};

static re2::StringPiece piece(struct slice s)
{
    return re2::StringPiece(reinterpret_cast<const char *>(s.data), s.len);
}

enum err regex_new(struct slice pattern, struct regex **out, struct err_info *info)
{
    re2::RE2::Options options;

    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    *out = new (std::nothrow) regex(piece(pattern), options);
    if (!*out)
        return err_fail(info, ERR_CONFIG, "no memory for a regex");
    if ((*out)->re.ok())
        return ERR_OK;
    err_fail(info, ERR_CONFIG, "%s", (*out)->re.error().c_str());
    delete *out;
    *out = nullptr;
    return ERR_CONFIG;
}

void regex_free(struct regex *r)
{
    delete r;
}

bool regex_find(const struct regex *r, struct slice text)
{
    return re2::RE2::PartialMatch(piece(text), r->re);
}

bool regex_search(const struct regex *r, struct slice text, size_t at, size_t *from, size_t *to)
{
    const re2::StringPiece all = piece(text);
    re2::StringPiece found;

    if (!r->re.Match(all, at, text.len, re2::RE2::UNANCHORED, &found, 1))
        return false;
    *from = static_cast<size_t>(found.data() - all.data());
    *to = *from + found.size();
    return true;
}
