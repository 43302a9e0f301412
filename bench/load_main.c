/* convene-load MODE --port N [options]: reads the command line, runs one mode. See load.h. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "load.h"

static const struct load_mode *const modes[] = {&load_echo,    &load_broadcast, &load_rooms,
                                                &load_connect, &load_churn,     &load_idle};

static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                      {"pid", required_argument, NULL, 'i'},
                                      {"connections", required_argument, NULL, 'c'},
                                      {"depth", required_argument, NULL, 'd'},
                                      {"bytes", required_argument, NULL, 'b'},
                                      {"rooms", required_argument, NULL, 'r'},
                                      {"members", required_argument, NULL, 'm'},
                                      {"publishers", required_argument, NULL, 'P'},
                                      {"life", required_argument, NULL, 'l'},
                                      {"seconds", required_argument, NULL, 's'},
                                      {"warmup", required_argument, NULL, 'w'},
                                      {"rate", required_argument, NULL, 'R'},
                                      {"messages", required_argument, NULL, 'M'},
                                      {"polling", no_argument, NULL, 'o'},
                                      {"patience", required_argument, NULL, 't'},
                                      {"help", no_argument, NULL, 'h'},
                                      {NULL, 0, NULL, 0}};

static void print_usage(FILE *out)
{
    fputs(
        "usage: convene-load MODE --port N [options], against a server of the bench contract on\n"
        "127.0.0.1. Prints its figures as one line of JSON; what is lost or wrong is an error.\n\n",
        out);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        fprintf(out, "  %-10s %s\n", modes[i]->name, modes[i]->summary);
    fputs(
        "\n"
        "  --pid N          the server's process: its CPU time and memory are reported\n"
        "  --connections N  clients of echo, connect, churn, idle (default 100)\n"
        "  --depth N        echo: events under way on each connection (1)\n"
        "  --bytes N        of a payload (100)\n"
        "  --members N      of a room (1000)        --publishers N  of broadcast (1)\n"
        "  --rooms N        rooms, churn (100)      --life N        churn: echoes of a life (10)\n"
        "  --rate N         broadcast, rooms: publications a second (0: closed loop)\n"
        "  --seconds S      to measure (2)          --warmup S      before that (0.5)\n"
        "  --messages N     ends the measuring earlier\n"
        "  --patience S     for what the server still owes at the end (20)\n"
        "  --polling        HTTP long-polling instead of WebSocket\n",
        out);
}

static double parse_number(const char *text, double min, double max)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= min && number <= max))
        load_fail("%s is no number from %g to %g", text, min, max);
    return number;
}

static unsigned parse_count(const char *text, unsigned min, unsigned max)
{
    return (unsigned)parse_number(text, min, max);
}

static void parse_option(struct load_options *options, int option)
{
    switch (option) {
    case 'p':
        options->port = parse_count(optarg, 1, 65535);
        break;
    case 'i':
        options->pid = parse_count(optarg, 1, 1U << 30);
        break;
    case 'c':
        options->connections = parse_count(optarg, 1, 1000000);
        break;
    case 'd':
        options->depth = parse_count(optarg, 1, 100000);
        break;
    case 'b':
        options->bytes = parse_count(optarg, 0, 900000);
        break;
    case 'r':
        options->rooms = parse_count(optarg, 1, 100000);
        break;
    case 'm':
        options->members = parse_count(optarg, 1, 100000);
        break;
    case 'P':
        options->publishers = parse_count(optarg, 1, 100000);
        break;
    case 'l':
        options->life = parse_count(optarg, 1, 1000000);
        break;
    case 's':
        options->seconds = parse_number(optarg, 0.01, 300);
        break;
    case 'w':
        options->warmup = parse_number(optarg, 0, 60);
        break;
    case 'R':
        options->rate = parse_number(optarg, 0, 1e6);
        break;
    case 'M':
        options->messages = (uint64_t)parse_number(optarg, 1, 1e12);
        break;
    case 't':
        options->patience = parse_number(optarg, 0, 300);
        break;
    case 'o':
        options->polling = true;
        break;
    case 'h':
        print_usage(stdout);
        exit(0);
    default:
        print_usage(stderr);
        exit(2);
    }
}

/* Thousands of connections need as many descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static struct load load = {.options = {.connections = 100,
                                           .depth = 1,
                                           .bytes = 100,
                                           .rooms = 100,
                                           .members = 1000,
                                           .publishers = 1,
                                           .life = 10,
                                           .seconds = 2,
                                           .warmup = 0.5,
                                           .patience = 20}};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        parse_option(&load.options, option);
    for (size_t i = 0; optind + 1 == argc && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[optind], modes[i]->name) == 0)
            load.mode = modes[i];
    if (load.mode == NULL || load.options.port == 0) {
        print_usage(stderr);
        return 2;
    }
    raise_descriptor_limit();
    load_run(&load);
    return 0;
}
