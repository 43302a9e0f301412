/* The workers of one server: the model that every other adapter is to be like. */
#include "adapter_suite.h"

int main(void)
{
    static const struct suite workers = {.places = 2, .one_server = true};
    return suite_run("workers", &workers);
}
