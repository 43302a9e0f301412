/*
 * Networks and hops. The list is one immutable block behind an atomic pointer; a reload puts another in its place, and the old ones are
 * kept until the end, because a worker may still be reading one: a few hundred bytes a reload. Invariant: nothing that a client writes
 * decides anything unless a trusted proxy stands behind it.
 */
#include "access/access_proxies.h"
#include "observe/log.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MAX_FORWARDED 8192 /* bytes of all X-Forwarded-For fields of a request together */

struct network_list {
    struct network_list *older;
    size_t count;
    struct access_network networks[];
};

static _Atomic(struct network_list *) trusted;

/* --- Networks --- */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool parse_address(cvn_slice text, struct access_network *ret)
{
    char copy[ACCESS_ADDRESS_SIZE];
    struct in_addr v4;
    struct in6_addr v6;
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, '\0', text.size) != NULL)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        memcpy(ret->address, mapped, sizeof mapped);
        memcpy(ret->address + sizeof mapped, &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, copy, &v6) == 1) {
        memcpy(ret->address, &v6, sizeof v6);
    } else {
        return false;
    }
    ret->bits = 128;
    return true;
}

static bool is_v4(const struct access_network *network)
{
    return memcmp(network->address, mapped, sizeof mapped) == 0;
}

bool access_network_parse(cvn_slice text, struct access_network *ret)
{
    struct access_network network;
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    size_t size = slash != NULL ? (size_t)(slash - text.data) : text.size;
    if (!parse_address((cvn_slice){text.data, size}, &network))
        return false;
    if (slash != NULL) {
        bool v4_text = memchr(text.data, ':', size) == NULL;
        unsigned bits = 0, most = v4_text ? 32 : 128;
        size_t digits = text.size - size - 1;
        if (digits == 0 || digits > 3 || (digits > 1 && slash[1] == '0'))
            return false;
        for (size_t i = 1; i <= digits; i++) {
            if (slash[i] < '0' || slash[i] > '9')
                return false;
            bits = bits * 10 + (unsigned)(slash[i] - '0');
        }
        if (bits > most)
            return false;
        network.bits = (uint8_t)(bits + 128 - most);
    }
    *ret = network;
    return true;
}

bool access_network_of_hop(cvn_slice text, struct access_network *ret)
{
    if (text.size > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.size);
        if (end == NULL)
            return false;
        cvn_slice rest = {end + 1, text.size - (size_t)(end + 1 - text.data)};
        if (rest.size > 0 && rest.data[0] != ':')
            return false;
        return parse_address((cvn_slice){text.data + 1, (size_t)(end - text.data) - 1}, ret);
    }
    /* One colon: a port behind an IPv4 address. */
    const char *colon = text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
    if (colon != NULL &&
        memchr(colon + 1, ':', text.size - (size_t)(colon + 1 - text.data)) == NULL)
        text.size = (size_t)(colon - text.data);
    return parse_address(text, ret);
}

bool access_network_has(const struct access_network *network, const struct access_network *address)
{
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->address, address->address, whole) != 0)
        return false;
    return rest == 0 || (network->address[whole] ^ address->address[whole]) >> (8 - rest) == 0;
}

void access_network_print(const struct access_network *address, char ret[ACCESS_ADDRESS_SIZE])
{
    const char *done;
    if (is_v4(address))
        done = inet_ntop(AF_INET, address->address + sizeof mapped, ret, ACCESS_ADDRESS_SIZE);
    else
        done = inet_ntop(AF_INET6, address->address, ret, ACCESS_ADDRESS_SIZE);
    if (done == NULL)
        ret[0] = '\0';
}

/* --- The list --- */

static struct network_list *read_list(const struct config *config)
{
    const struct config_list *entries = &config->server.trusted_proxies;
    struct network_list *list =
        malloc(sizeof *list + entries->count * sizeof(struct access_network));
    if (list == NULL)
        return NULL;
    list->older = NULL;
    list->count = 0;
    for (size_t i = 0; i < entries->count; i++) {
        if (access_network_parse(cvn_str(entries->items[i]), &list->networks[list->count]))
            list->count++;
        else
            log_entry(LOG_ERROR, "not a network, so no proxy of it is trusted",
                      LOG_TEXT("value", entries->items[i]), LOG_END);
    }
    return list;
}

bool access_proxies_reconfigure(const struct config *config)
{
    struct network_list *list = read_list(config);
    if (list == NULL)
        return false;
    list->older = atomic_load(&trusted);
    atomic_store(&trusted, list);
    return true;
}

void access_proxies_release(void)
{
    struct network_list *list = atomic_exchange(&trusted, NULL);
    while (list != NULL) {
        struct network_list *older = list->older;
        free(list);
        list = older;
    }
}

static bool has(const struct network_list *list, const struct access_network *address)
{
    for (size_t i = 0; list != NULL && i < list->count; i++)
        if (access_network_has(&list->networks[i], address))
            return true;
    return false;
}

bool access_proxies_trusts(const char *address)
{
    struct access_network network;
    return access_network_of_hop(cvn_str(address), &network) &&
           has(atomic_load(&trusted), &network);
}

/* Takes the last element of a comma-separated list off its end. */
static cvn_slice pop_last(cvn_slice *list)
{
    size_t start = list->size;
    while (start > 0 && list->data[start - 1] != ',')
        start--;
    cvn_slice last = {list->data + start, list->size - start};
    list->size = start > 0 ? start - 1 : 0;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): join_fields wrote them */
    while (last.size > 0 && (last.data[0] == ' ' || last.data[0] == '\t'))
        last.data++, last.size--;
    while (last.size > 0 && (last.data[last.size - 1] == ' ' || last.data[last.size - 1] == '\t'))
        last.size--;
    return last;
}

void access_proxies_client(const char *peer, cvn_slice forwarded, char ret[ACCESS_ADDRESS_SIZE])
{
    const struct network_list *list = atomic_load(&trusted);
    struct access_network client, hop;
    if (!access_network_of_hop(cvn_str(peer), &client)) { /* a peer without an address */
        ret[0] = '\0';
        return;
    }
    for (int i = 0; i < ACCESS_MAX_HOPS && forwarded.size > 0 && has(list, &client); i++) {
        if (!access_network_of_hop(pop_last(&forwarded), &hop))
            break;
        client = hop;
    }
    access_network_print(&client, ret);
}

static bool is_name(cvn_slice name, const char *expected)
{
    if (name.size != strlen(expected))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c + 32) : c) != expected[i])
            return false;
    }
    return true;
}

/* Proxies add a field of their own, or to the last one: all fields in their order are one list (RFC 9110 section 5.3). */
static cvn_slice join_fields(const cvn_http_request *request, char *buffer, size_t size)
{
    cvn_slice joined = {buffer, 0}, name, value;
    size_t cursor = 0;
    while (cvn_http_next_header(request, &cursor, &name, &value)) {
        if (!is_name(name, "x-forwarded-for"))
            continue;
        if (value.size + 1 > size - joined.size) {
            /* Only the end counts, and what is too long is an attempt at something. */
            joined.size = 0;
            if (value.size + 1 > size) {
                value.data += value.size - (size - 1);
                value.size = size - 1;
            }
        }
        if (joined.size > 0)
            buffer[joined.size++] = ',';
        memcpy(buffer + joined.size, value.data, value.size);
        joined.size += value.size;
    }
    return joined;
}

void access_proxies_of_request(const cvn_http_request *request, char ret[ACCESS_ADDRESS_SIZE])
{
    char buffer[MAX_FORWARDED];
    const char *peer = cvn_http_address(request);
    cvn_slice forwarded = {NULL, 0};
    if (access_proxies_trusts(peer))
        forwarded = join_fields(request, buffer, sizeof buffer);
    access_proxies_client(peer, forwarded, ret);
}

void access_proxies_of_socket(const cvn_socket *socket, char ret[ACCESS_ADDRESS_SIZE])
{
    char *forwarded = NULL;
    const char *peer = cvn_socket_address(socket);
    cvn_text *handshake = NULL;
    if (access_proxies_trusts(peer) && cvn_socket_header(socket, "x-forwarded-for").data != NULL) {
        /* The handshake shows repeated fields joined, as cvn_socket_header does not. */
        handshake = cvn_text_new(1 << 20);
        forwarded = malloc(MAX_FORWARDED);
    }
    if (handshake != NULL && forwarded != NULL) {
        cvn_socket_handshake_json(socket, handshake);
        cvn_slice headers = cvn_json_get(cvn_text_slice(handshake), "headers");
        if (cvn_text_failed(handshake) ||
            !cvn_json_string(cvn_json_get(headers, "x-forwarded-for"), forwarded, MAX_FORWARDED))
            forwarded[0] = '\0';
    }
    access_proxies_client(peer, cvn_str(forwarded), ret);
    free(forwarded);
    cvn_text_free(handshake);
}

bool access_proxies_spoke(const cvn_http_request *request)
{
    static const char *const marks[] = {
        "forwarded",         "via",       "x-forwarded-for",   "x-forwarded-host",
        "x-forwarded-proto", "x-real-ip", "x-forwarded-server"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (cvn_http_header(request, marks[i]).data != NULL)
            return true;
    return false;
}
