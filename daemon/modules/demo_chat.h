/* The demo: one chat room on the namespace /demo. Only with --dev. */
#ifndef MODULES_DEMO_CHAT_H
#define MODULES_DEMO_CHAT_H

#include <convene/convene.h>

struct demo_chat;

/* Registers the room's handlers; before the server starts. NULL when memory has run out. */
struct demo_chat *demo_chat_new(cvn_server *server);
/* After the server has ended. */
void demo_chat_free(struct demo_chat *chat);

#endif
