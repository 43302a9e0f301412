/* convened: reads its settings and runs, or does the one thing that its arguments name. Main thread. */
#include "config/config.h"
#include "convened.h"
#include "observe/audit.h"
#include <string.h>

int main(int argc, char **argv)
{
    const struct config *config;
    if (argc > 1 && strcmp(argv[1], "audit") == 0)
        return audit_command(argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "--print-asyncapi") == 0)
        return convened_print_asyncapi();
    switch (config_load(&config, argc, argv)) {
    case CONFIG_DONE:
        return 0;
    case CONFIG_WRONG:
        return 2;
    case CONFIG_RUN:
        break;
    }
    return convened_run(config);
}
