/* convened: reads its settings and runs, or does the one thing that its arguments name. Main thread. */
#include "config/config.h"
#include "convened.h"
#include "observe/audit.h"
#include <string.h>

/* Takes an argument out; false when it is not there. */
static bool take_argument(int *argc, char **argv, const char *name)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], name) != 0)
            continue;
        memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv); /* the NULL, too */
        --*argc;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    const struct config *config;
    if (argc > 1 && strcmp(argv[1], "audit") == 0)
        return audit_command(argc - 1, argv + 1);
    bool is_print = take_argument(&argc, argv, "--print-asyncapi");
    if (is_print && argc == 1)
        return convened_print_asyncapi(NULL);
    switch (config_load(&config, argc, argv)) {
    case CONFIG_DONE:
        return 0;
    case CONFIG_WRONG:
        return 2;
    case CONFIG_RUN:
        break;
    }
    return is_print ? convened_print_asyncapi(config) : convened_run(config);
}
