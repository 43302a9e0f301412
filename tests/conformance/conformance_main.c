/* convene-conformance --contract NAME [--port N] [--workers N] [--deflate] [--parser NAME]: runs the server of one contract. */
#include "conformance.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr,
            "usage: convene-conformance --contract NAME [--port N] [--workers N] [--deflate]\n"
            "                           [--parser json|msgpack]\n"
            "contracts: eio-echo eio-client eio-java sio-proto sio-client sio-recovery sio-java "
            "sio-flow sio-api ws-echo\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"contract", required_argument, NULL, 'c'}, {"port", required_argument, NULL, 'p'},
        {"workers", required_argument, NULL, 'w'},  {"deflate", no_argument, NULL, 'd'},
        {"parser", required_argument, NULL, 'm'},   {NULL, 0, NULL, 0}};
    const char *contract = NULL;
    unsigned long port = 0, workers = 1;
    bool deflate = false, msgpack = false;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'c':
            contract = optarg;
            break;
        case 'p':
            port = strtoul(optarg, NULL, 10);
            break;
        case 'w':
            workers = strtoul(optarg, NULL, 10);
            break;
        case 'd':
            deflate = true;
            break;
        case 'm':
            msgpack = strcmp(optarg, "msgpack") == 0;
            if (!msgpack && strcmp(optarg, "json") != 0)
                return usage();
            break;
        default:
            return usage();
        }
    }
    if (contract == NULL || port > 65535 || workers < 1 || workers > 128)
        return usage();
    if (strcmp(contract, "ws-echo") == 0)
        return conformance_ws_run((uint16_t)port, (unsigned)workers, deflate);
    int status =
        strncmp(contract, "eio-", 4) == 0
            ? conformance_eio_run(contract, (uint16_t)port, (unsigned)workers, deflate)
            : conformance_sio_run(contract, (uint16_t)port, (unsigned)workers, deflate, msgpack);
    return status == 2 ? usage() : status;
}
