/* Which web origins may use the routes: the rules that the library has for Socket.IO, for everything else. Pure. */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include <convene/convene.h>

enum cors_verdict {
    CORS_NONE, /* no browser, or a page of ours that reads only */
    CORS_SAME, /* a page of this host */
    CORS_LISTED /* named, itself or as a subdomain */,
    CORS_ANY, /* let in by "*" */
    CORS_REFUSED
};

/* `origins`: "https://a.example", "https://" "*.a.example" or "*"; `origin` and `host` are the request's fields, NULL data when absent. */
enum cors_verdict cors_check(const char *const *origins, size_t count, cvn_slice origin,
                             cvn_slice host);

#endif
