/* The directory that holds what the server keeps. */
#ifndef OPS_DATA_DIR_H
#define OPS_DATA_DIR_H

#include <stdbool.h>

/* Makes the directory when it is missing (mode 0700) and locks it, so that two daemons never share one. False, with the reason on standard
 * error. The lock is held until the process ends. */
bool data_dir_open(const char *path);

#endif
