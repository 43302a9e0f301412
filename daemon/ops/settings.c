/* The command line. One table gives the parser its names and --help its text. Runs once, on the main thread. */
#include "ops/settings.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef CONVENE_WEB_DIR
#define CONVENE_WEB_DIR "/usr/share/convene/web"
#endif
#ifndef CONVENE_VERSION
#define CONVENE_VERSION "unknown"
#endif

#define DEFAULT_PORT 3000
#define MAX_WORKERS  128

static const struct parameter {
    const char *name;
    const char *value; /* what --help calls it; NULL: a switch */
    const char *help;
} parameters[] = {
    {"port", "N", "TCP port to listen on; 0 takes any free one (default 3000)"},
    {"host", "ADDRESS", "numeric address to listen on (default all; 127.0.0.1 with --dev)"},
    {"workers", "N", "threads that serve connections (default the number of processors)"},
    {"data", "DIR", "directory for what the server keeps; made when missing (default ./data)"},
    {"dev", NULL, "development: loopback only, with the demo page on /"},
    {"web", "DIR", "directory of the demo page's files"},
    {"client", "DIR", "dist directory of the npm package socket.io-client"},
    {"origin", "ORIGIN",
     "a web origin that may connect besides our own; may be given often; '*' for any"},
    {"tls-cert", "FILE", "certificate chain (PEM); with --tls-key: serve HTTPS and WSS only"},
    {"tls-key", "FILE", "private key (PEM)"},
    {"compression", NULL, "compress WebSocket messages of 1 kB and more (permessage-deflate)"},
    {"help", NULL, "this text"},
    {"version", NULL, "the version"},
};

enum { PARAMETER_COUNT = sizeof parameters / sizeof *parameters };

static void print_help(void)
{
    printf("convened, a Socket.IO server for real-time collaboration\n\nusage: convened "
           "[options]\n\n");
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        char name[40];
        snprintf(name, sizeof name, "--%s%s%s", parameters[i].name, parameters[i].value ? " " : "",
                 parameters[i].value ? parameters[i].value : "");
        printf("  %-20s %s\n", name, parameters[i].help);
    }
}

static bool parse_number(const char *name, const char *text, unsigned long min, unsigned long max,
                         unsigned long *ret)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number < min || number > max) {
        fprintf(stderr, "convened: --%s: \"%s\" is not a number of %lu to %lu\n", name, text, min,
                max);
        return false;
    }
    *ret = number;
    return true;
}

static bool add_origin(struct settings *settings, const char *origin)
{
    if (settings->origin_count == SETTINGS_MAX_ORIGINS) {
        fprintf(stderr, "convened: --origin: at most %d\n", SETTINGS_MAX_ORIGINS);
        return false;
    }
    settings->origins[settings->origin_count++] = origin;
    return true;
}

/* Takes one option over; false when its value is wrong. */
static bool apply(struct settings *settings, const char *name, const char *value)
{
    unsigned long number;
    if (strcmp(name, "port") == 0) {
        if (!parse_number(name, value, 0, 65535, &number))
            return false;
        settings->port = (uint16_t)number;
    } else if (strcmp(name, "workers") == 0) {
        if (!parse_number(name, value, 1, MAX_WORKERS, &number))
            return false;
        settings->workers = (unsigned)number;
    } else if (strcmp(name, "host") == 0) {
        settings->host = value;
    } else if (strcmp(name, "data") == 0) {
        settings->data_dir = value;
    } else if (strcmp(name, "web") == 0) {
        settings->web_dir = value;
    } else if (strcmp(name, "client") == 0) {
        settings->client_dir = value;
    } else if (strcmp(name, "origin") == 0) {
        return add_origin(settings, value);
    } else if (strcmp(name, "tls-cert") == 0) {
        settings->tls_cert = value;
    } else if (strcmp(name, "tls-key") == 0) {
        settings->tls_key = value;
    } else if (strcmp(name, "compression") == 0) {
        settings->compression = true;
    } else if (strcmp(name, "dev") == 0) {
        settings->dev = true;
    }
    return true;
}

static enum settings_result check(struct settings *settings)
{
    if ((settings->tls_cert == NULL) != (settings->tls_key == NULL)) {
        fprintf(stderr, "convened: --tls-cert and --tls-key go together\n");
        return SETTINGS_WRONG;
    }
    if (settings->dev) {
        if (settings->host == NULL)
            settings->host = "127.0.0.1";
        if (strncmp(settings->host, "127.", 4) != 0 && strcmp(settings->host, "::1") != 0) {
            fprintf(stderr, "convened: --dev listens on loopback only, not on %s\n",
                    settings->host);
            return SETTINGS_WRONG;
        }
    }
    return SETTINGS_RUN;
}

enum settings_result settings_parse(struct settings *ret, int argc, char **argv)
{
    struct option names[PARAMETER_COUNT + 1] = {{0}};
    for (size_t i = 0; i < PARAMETER_COUNT; i++)
        names[i] = (struct option){parameters[i].name,
                                   parameters[i].value ? required_argument : no_argument, NULL, 1};
    *ret = (struct settings){.port = DEFAULT_PORT, .data_dir = "data", .web_dir = CONVENE_WEB_DIR};
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
        if (option != 1) {
            fprintf(stderr, "convened: see convened --help\n");
            return SETTINGS_WRONG;
        }
        if (strcmp(parameters[index].name, "help") == 0) {
            print_help();
            return SETTINGS_DONE;
        }
        if (strcmp(parameters[index].name, "version") == 0) {
            printf("convened %s\n", CONVENE_VERSION);
            return SETTINGS_DONE;
        }
        if (!apply(ret, parameters[index].name, optarg))
            return SETTINGS_WRONG;
    }
    if (optind < argc) {
        fprintf(stderr, "convened: \"%s\" is no option; see convened --help\n", argv[optind]);
        return SETTINGS_WRONG;
    }
    return check(ret);
}
