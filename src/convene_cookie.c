/*
 * Options that end up in header fields of answers: the session cookie (RFC 6265 section 4.1) and what CORS tells preflights. Checked
 * once, before any thread, so that nothing a program puts there can break out of its field.
 */
#include "convene_server.h"
#include "base/log.h"
#include "base/mem.h"

#define MAX_NAME 255
#define MAX_PATH 1024
#define MAX_LIST 4096

static bool refuse(const char *what)
{
    log_write(LOG_ERROR, "option %s", what);
    return false;
}

/* Visible ASCII and spaces, nothing that ends an attribute. */
static bool is_path(cvn_slice text)
{
    if (text.size == 0 || text.size > MAX_PATH || text.data[0] != '/')
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e || text.data[i] == ';')
            return false;
    return true;
}

static bool is_domain(cvn_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z') && c != '.' &&
            c != '-')
            return false;
    }
    return text.size > 0 && text.size <= MAX_NAME;
}

static const char *same_site_text(enum cvn_same_site same_site)
{
    switch (same_site) {
    case CVN_SAME_SITE_LAX:
        return "; SameSite=Lax";
    case CVN_SAME_SITE_STRICT:
        return "; SameSite=Strict";
    case CVN_SAME_SITE_NONE:
        return "; SameSite=None";
    case CVN_SAME_SITE_UNSAID:
        return "";
    }
    return NULL;
}

/* In the order of the reference's cookies. */
static void append_attributes(struct buf *text, const cvn_cookie *cookie)
{
    if (cookie->max_age_s > 0)
        buf_printf(text, "; Max-Age=%u", cookie->max_age_s);
    if (cookie->domain != NULL)
        buf_printf(text, "; Domain=%s", cookie->domain);
    buf_printf(text, "; Path=%s", cookie->path != NULL ? cookie->path : "/");
    if (!cookie->readable_by_scripts)
        buf_append_str(text, "; HttpOnly");
    if (cookie->secure)
        buf_append_str(text, "; Secure");
    buf_append_str(text, same_site_text(cookie->same_site));
    buf_append_byte(text, '\0');
}

bool server_settings_set_cookie(struct server_settings *ret, const cvn_cookie *cookie)
{
    struct buf text;
    if (cookie == NULL)
        return true;
    cvn_slice name = cvn_str(cookie->name != NULL ? cookie->name : "io");
    if (name.size > MAX_NAME || !http_head_is_token(name))
        return refuse("cookie: its name is no token");
    if (cookie->path != NULL && !is_path(cvn_str(cookie->path)))
        return refuse("cookie: its path does not begin with a slash or holds what no path may");
    if (cookie->domain != NULL && !is_domain(cvn_str(cookie->domain)))
        return refuse("cookie: its domain is none");
    if (same_site_text(cookie->same_site) == NULL)
        return refuse("cookie: unknown same_site");
    if (cookie->same_site == CVN_SAME_SITE_NONE && !cookie->secure)
        return refuse("cookie: same_site none without secure, which browsers drop");
    buf_init(&text, MAX_PATH + MAX_NAME + 256);
    append_attributes(&text, cookie);
    ret->cookie_name = mem_dup(name.data, name.size + 1);
    if (ret->cookie_name == NULL || text.failed) {
        buf_release(&text);
        return refuse("cookie: out of memory");
    }
    ret->cookie_attributes = text.data;
    ret->eio.cookie_name = name;
    ret->eio.cookie_name.data = ret->cookie_name;
    ret->eio.cookie_attributes = cvn_str(ret->cookie_attributes);
    return true;
}

/* "GET,POST", with or without spaces behind the commas. */
static bool is_token_list(cvn_slice rest)
{
    if (rest.size > MAX_LIST)
        return false;
    for (;;) {
        size_t comma = slice_find(rest, ',');
        if (!http_head_is_token(slice_trim(slice_of(rest.data, comma))))
            return false;
        if (comma == rest.size)
            return true;
        rest = slice_from(rest, comma + 1);
    }
}

static bool copy_list(const char *list, const char *complaint, char **ret_copy, cvn_slice *ret)
{
    if (list == NULL)
        return true;
    if (!is_token_list(cvn_str(list)))
        return refuse(complaint);
    *ret_copy = mem_dup(list, strlen(list) + 1);
    *ret = cvn_str(*ret_copy);
    return *ret_copy != NULL || refuse("origins: out of memory");
}

bool server_settings_set_cors(struct server_settings *ret, const cvn_options *options)
{
    struct http_origin_policy *policy = &ret->eio.origins;
    policy->max_age_s = options->origin_max_age_s;
    return copy_list(options->origin_methods, "origin_methods: no list of methods",
                     &ret->origin_methods, &policy->methods) &&
           copy_list(options->origin_headers, "origin_headers: no list of field names",
                     &ret->origin_headers, &policy->headers) &&
           copy_list(options->origin_exposed, "origin_exposed: no list of field names",
                     &ret->origin_exposed, &policy->exposed);
}
