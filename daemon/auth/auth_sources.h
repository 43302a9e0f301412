/* Where tokens are in what clients send. Pure; any thread. */
#ifndef AUTH_SOURCES_H
#define AUTH_SOURCES_H

#include <convene/types.h>

/* The four places, each as it came; an empty slice: not there, or not to be looked at. */
struct auth_sources {
    cvn_slice payload;       /* the CONNECT packet's JSON object */
    cvn_slice authorization; /* header */
    cvn_slice query;         /* access_token, still percent-encoded */
    cvn_slice cookies;       /* header Cookie */
};

cvn_slice auth_sources_find(const struct auth_sources *sources, const char *cookie_name,
                            char *buffer, size_t size);

#endif
