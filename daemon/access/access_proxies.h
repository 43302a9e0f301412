/*
 * Who a client is behind proxies. X-Forwarded-For is believed as far as listed networks vouch for it: from the peer leftwards, each hop that
 * is a trusted proxy is asked for the one before it, and the first that is none is the client. What stands left of that may be anybody's
 * invention. Networks are set at the start and on reload (main thread); looking up: any thread, without a lock.
 */
#ifndef ACCESS_PROXIES_H
#define ACCESS_PROXIES_H

#include "config/config.h"
#include <convene/convene.h>

#define ACCESS_ADDRESS_SIZE 46 /* of a numeric address with its NUL */

/* --- Networks; pure --- */

/* IPv4 stands in it as IPv6 has it (::ffff:0:0/96), so one peer has one form however it was written. */
struct access_network {
    uint8_t address[16];
    uint8_t bits;
};

/* "10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1"; bits behind the mask are not looked at. */
bool access_network_parse(cvn_slice text, struct access_network *ret);
/* The network of one address, as proxies write it: "192.0.2.1", "192.0.2.1:4711", "::1", "[::1]:4711". */
bool access_network_of_hop(cvn_slice text, struct access_network *ret);
/* Whether the address (bits are not looked at) lies inside. */
bool access_network_has(const struct access_network *network, const struct access_network *address);
/* The shortest form; IPv4 as IPv4. */
void access_network_print(const struct access_network *address, char ret[ACCESS_ADDRESS_SIZE]);

/* --- The list; one a process --- */

/* Takes over config.server.trusted_proxies; at the start and on reload, main thread. Entries that are no network are said to the log and trusted by
 * nobody. False, and the old list stays, when memory has run out. Before the first call nobody is trusted. */
bool access_proxies_reconfigure(const struct config *config);
/* At the end, when no worker runs. */
void access_proxies_release(void);

/* Whether a proxy at that numeric address is believed. */
bool access_proxies_trusts(const char *address);
/* The client's address: `peer` is who sent it, `forwarded` the value of X-Forwarded-For, several fields joined with commas in their order;
 * empty when there is none. Always an address: where a hop is no address, the one that said so is the client. At most
 * ACCESS_MAX_HOPS are looked at. */
#define ACCESS_MAX_HOPS 32
void access_proxies_client(const char *peer, cvn_slice forwarded, char ret[ACCESS_ADDRESS_SIZE]);
/* The same of a request, and of a socket's opening request; on its worker. */
void access_proxies_of_request(const cvn_http_request *request, char ret[ACCESS_ADDRESS_SIZE]);
void access_proxies_of_socket(const cvn_socket *socket, char ret[ACCESS_ADDRESS_SIZE]);
/* Whether any proxy has left its mark on the request, trusted or not. */
bool access_proxies_spoke(const cvn_http_request *request);

#endif
