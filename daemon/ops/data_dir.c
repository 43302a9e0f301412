/* The data directory and its lock. Main thread, at the start. */
#include "ops/data_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Like mkdir -p: parents as everybody's directories are, the last one for us alone. */
static bool make_directory(const char *path)
{
    char parent[4096];
    size_t size = strlen(path);
    if (size >= sizeof parent) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (size_t i = 1; i < size; i++) {
        if (path[i] != '/' || path[i - 1] == '/')
            continue;
        memcpy(parent, path, i);
        parent[i] = '\0';
        if (mkdir(parent, 0755) != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

bool data_dir_open(const char *path)
{
    char lock[4096];
    if (!make_directory(path)) {
        fprintf(stderr, "convened: cannot make %s: %s\n", path, strerror(errno));
        return false;
    }
    if (snprintf(lock, sizeof lock, "%s/convened.lock", path) >= (int)sizeof lock) {
        fprintf(stderr, "convened: the path %s is too long\n", path);
        return false;
    }
    /* Never closed: the kernel lets go of the lock with the process, however it ends. */
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "convened: cannot open %s: %s\n", lock, strerror(errno));
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "convened: %s is in use by another convened\n", path);
        close(fd);
        return false;
    }
    return true;
}
