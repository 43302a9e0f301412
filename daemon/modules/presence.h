/* Presence: which status users have, and who is in a room; on the namespace "/". */
#ifndef MODULES_PRESENCE_H
#define MODULES_PRESENCE_H

#include "event/frame.h"

extern const struct module presence_module;
/* Its tables in the store, for store_migrate; ends with a NULL module name. */
extern const struct store_migration presence_migrations[];

#endif
