/* The server's CPU time and memory, from /proc: the same for any server in any language. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

static void read_proc(int pid, const char *name, char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        load_fail("cannot read %s: is the server still running?", path);
    size_t used = fread(ret, 1, size - 1, file);
    ret[used] = '\0';
    fclose(file);
}

double load_proc_cpu(int pid)
{
    char text[1024];
    if (pid == 0)
        return 0;
    read_proc(pid, "stat", text, sizeof text);
    /* Fields are counted behind the name, which may hold anything: state is the third, utime the 14th, stime the 15th. */
    const char *at = strrchr(text, ')');
    unsigned field = 2;
    for (; at != NULL && field < 14; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        load_fail("cannot understand /proc/%d/stat", pid);
    char *end;
    unsigned long long ticks = strtoull(at, &end, 10);
    ticks += strtoull(end, NULL, 10);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

uint64_t load_proc_rss(int pid)
{
    char text[8192];
    if (pid == 0)
        return 0;
    read_proc(pid, "status", text, sizeof text);
    const char *at = strstr(text, "VmRSS:");
    if (at == NULL)
        load_fail("cannot understand /proc/%d/status", pid);
    return strtoull(at + strlen("VmRSS:"), NULL, 10) * 1024;
}
