/* Two servers, and three, linked in memory by the adapter that docs/adapters.md explains. */
#include "adapter_suite.h"
#include "memory_adapter.h"

static struct memory_hub *hub;

static void open_hub(void)
{
    hub = memory_hub_new(1);
    assert_non_null(hub);
}

static void close_hub(void)
{
    memory_hub_free(hub);
}

static cvn_adapter *new_adapter(void)
{
    return memory_adapter_new(hub);
}

static void kill_node(unsigned place)
{
    memory_hub_kill(hub, place);
}

int main(void)
{
    struct suite memory = {
        .places = 2,
        .open = open_hub,
        .close = close_hub,
        .adapter_new = new_adapter,
        .kill = kill_node,
    };
    int failed = suite_run("two servers", &memory);
    memory.places = 3;
    return failed + suite_run("three servers", &memory);
}
