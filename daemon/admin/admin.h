/*
 * The console of an operator: the namespace /admin speaks the protocol of the existing Socket.IO Admin UI (npm @socket.io/admin-ui), and the page
 * itself is served at /admin/. See docs/operations.md, "The admin UI".
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "auth/auth.h"
#include "config/config.h"
#include "observe/audit.h"
#include <convene/convene.h>

struct admin;

/* Registers the namespace and the server's observer; before the server starts, when config->admin.enabled. `config` is not needed afterwards, `auth` (may be NULL when the configuration
 * has a user name) and `audit` (may be NULL) are needed while the server runs. NULL: said to the log. */
struct admin *admin_new(cvn_server *server, const struct config *config, struct auth *auth,
                        struct audit *audit);
/* After the server was freed. NULL is accepted. */
void admin_free(struct admin *admin);

/* Answers requests for /admin and what is below it, the page of the UI; false: it is somebody else's. `admin` is a struct admin: fits
 * router_add_fallback. */
bool admin_serve(cvn_http_request *request, void *admin);

#endif
