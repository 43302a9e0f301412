#include "config/config_sources.h"
void config_docs_print_man(FILE *out)
{
    (void)out;
}
void config_docs_print_markdown(FILE *out)
{
    (void)out;
}
