/*
 * What the server offers, as an AsyncAPI 3.0 document, made from the modules' tables: one channel a namespace, an operation and a message an
 * event, with the payload's schema, the acknowledgement as the operation's reply, and what the tables say of roles, rates and durability as x-convene-*.
 * `convened --print-asyncapi` and GET /asyncapi.json print it.
 */
#ifndef EVENT_CATALOGUE_H
#define EVENT_CATALOGUE_H

#include "config/config.h"
#include "event/module.h"

/* The modules, ending with NULL, of which those in disabled namespaces are left out; `config` NULL: nothing is disabled. False: memory. Pure; any thread. */
bool catalogue_print(const struct module *const *modules, const struct config *config,
                     cvn_text *text);

#endif
