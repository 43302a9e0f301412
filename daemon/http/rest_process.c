/* What Linux says of this process: memory, descriptors, processor time. Any thread; a few small reads of /proc, which never wait for a disk. */
#include "http/rest_internal.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t count_fds(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count > 0 ? count - 1 : 0; /* without the directory's own */
}

static void read_memory(struct rest_process *ret)
{
    char line[128], *end = line; /* "size resident ...", in pages */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL) {
        ret->virtual_bytes = strtoull(line, &end, 10) * page;
        ret->resident_bytes = strtoull(end, NULL, 10) * page;
    }
    fclose(file);
}

static unsigned count_threads(void)
{
    char line[128];
    unsigned threads = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && threads == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Threads:", 8) == 0)
            threads = (unsigned)strtoul(line + 8, NULL, 10);
    if (file != NULL)
        fclose(file);
    return threads;
}

void rest_process_read(struct rest_process *ret)
{
    struct rlimit limit;
    struct rusage usage;
    *ret = (struct rest_process){0};
    read_memory(ret);
    ret->open_fds = count_fds();
    ret->threads = count_threads();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ret->max_fds = limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret->cpu_seconds = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) / 1e6;
}
