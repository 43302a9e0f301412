/*
 * The development mode's tokens (--dev): ready users to pick from, and tokens for those and any others. Whoever can ask may be anybody, so only
 * this machine may ask, and of its browsers only pages that it serves itself. Registered on the main thread; the routes run on their workers.
 */
#ifndef HTTP_DEV_TOKENS_H
#define HTTP_DEV_TOKENS_H

#include "http/router.h"

struct dev_tokens;

/* Adds GET /dev, GET /dev/users and POST /dev/token to the router; only to be called with --dev. All outlive it. NULL: memory. */
struct dev_tokens *dev_tokens_new(const struct config *config, struct auth *auth,
                                  struct router *router);
/* When no worker runs any more. NULL is accepted. */
void dev_tokens_free(struct dev_tokens *tokens);

/* Whether an authority as in Host ("localhost:3000", "127.0.0.1", "[::1]:80") names this machine without asking any name server: a name that
 * somebody else's DNS answers for never does, even if it answers 127.0.0.1. Pure. */
bool dev_tokens_is_local_authority(cvn_slice authority);
/* The same of an origin, "http://localhost:3000". Pure. */
bool dev_tokens_is_local_origin(cvn_slice origin);

#endif
