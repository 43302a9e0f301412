/*
 * A socket that was let in, with who it is. Members belong to their socket's worker. One connection's members, one in each namespace, share a
 * link, which has what is counted per connection (frame_internal.h).
 */
#ifndef EVENT_MEMBER_H
#define EVENT_MEMBER_H

#include "event/module.h"

cvn_socket *member_socket(const struct member *member); /* NULL once it has left */
const struct principal *member_principal(
    const struct member *member); /* changes with auth_refresh; hold a reference to keep one */
struct frame *member_frame(const struct member *member);
const char *member_address(const struct member *member); /* the client's, behind trusted proxies */
const char *member_correlation_id(const struct member *member); /* of the connection */
/* A module's own data for this member; NULL at first. To be freed by the module, in on_leave at the latest. */
void member_set_data(struct member *member, const struct module *module, void *data);
void *member_data(const struct member *member, const struct module *module);
struct member *member_of(const cvn_socket *socket); /* NULL: none of ours */
struct member *
member_ref(struct member *member); /* keeps the memory, not the connection; any thread */
void member_unref(struct member *member);

/* To this member alone; see cvn_socket_emit. */
void member_emit(struct member *member, const char *event, cvn_slice json);

#endif
