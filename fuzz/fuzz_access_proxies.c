/*
 * X-Forwarded-For as anybody may write it, against a list of networks that anybody may configure: the answer is always an address, and the
 * peer's own when the peer is no trusted proxy. The first line is the network, the rest the field's value.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include "access/access_proxies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static bool is_address(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const peers[] = {"10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) : 0;
    char network[128] = "10.0.0.0/8";
    struct access_network parsed, address;
    struct config config;
    const char *items[] = {network, NULL};
    if (end != NULL && line < sizeof network) {
        memcpy(network, data, line);
        network[line] = '\0';
        data += line + 1;
        size -= line + 1;
    }
    /* An allocation of its own, so that the sanitizer sees every byte too many. */
    char *value = malloc(size + 1);
    CHECK(value != NULL);
    if (size > 0)
        memcpy(value, data, size);
    bool is_network = access_network_parse(cvn_str(network), &parsed);
    memset(&config, 0, sizeof config);
    config.server.trusted_proxies = (struct config_list){items, is_network};
    CHECK(access_proxies_reconfigure(&config));
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        char client[ACCESS_ADDRESS_SIZE], own[ACCESS_ADDRESS_SIZE];
        access_proxies_client(peers[i], (cvn_slice){value, size}, client);
        CHECK(is_address(client));
        CHECK(access_network_of_hop(cvn_str(peers[i]), &address));
        access_network_print(&address, own);
        CHECK(access_proxies_trusts(peers[i]) ==
              (is_network && access_network_has(&parsed, &address)));
        CHECK(access_proxies_trusts(peers[i]) || strcmp(client, own) == 0);
        /* What was found is the same when it is read again. */
        CHECK(access_network_of_hop(cvn_str(client), &address));
        access_network_print(&address, own);
        CHECK(strcmp(client, own) == 0);
    }
    access_proxies_release();
    free(value);
    return 0;
}
