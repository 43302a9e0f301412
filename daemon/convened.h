/* The daemon as a whole: its parts in the order in which they need each other. Main thread. */
#ifndef CONVENED_H
#define CONVENED_H

#include "config/config.h"

/* Puts everything together, runs until a signal says otherwise, takes everything apart. An exit status. Takes the configuration. */
int convened_run(const struct config *config);
/* For --print-asyncapi. Takes the configuration; NULL: all that there can be, nothing disabled. */
int convened_print_asyncapi(const struct config *config);

#endif
