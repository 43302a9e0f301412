/* The library's options out of the daemon's settings. */
#ifndef CONVENED_OPTIONS_H
#define CONVENED_OPTIONS_H

#include "config/config.h"
#include <convene/convene.h>

/* Everything that settings say of the library's server; hooks are the caller's. The strings stay the configuration's. */
cvn_options convened_options(const struct config *config);

#endif
