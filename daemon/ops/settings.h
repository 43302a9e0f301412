/* What the daemon was told on its command line. */
#ifndef OPS_SETTINGS_H
#define OPS_SETTINGS_H

#include <convene/convene.h>

#define SETTINGS_MAX_ORIGINS 64

struct settings {
    const char *host; /* NULL: all addresses; loopback with --dev */
    uint16_t port;
    unsigned workers;
    const char *data_dir;
    const char *web_dir;
    const char *client_dir; /* NULL: the library's default */
    const char *tls_cert, *tls_key;
    const char *origins[SETTINGS_MAX_ORIGINS + 1]; /* ends with NULL */
    size_t origin_count;
    bool dev;
    bool compression; /* of WebSocket messages */
};

enum settings_result { SETTINGS_RUN, SETTINGS_DONE, SETTINGS_WRONG };

/* Reads the arguments; the strings stay argv's. --help and --version are answered here (SETTINGS_DONE); what is wrong is said on standard
 * error (SETTINGS_WRONG). */
enum settings_result settings_parse(struct settings *ret, int argc, char **argv);

#endif
