/*
 * `convened audit verify` and `convened audit export`: read the trail, beside a daemon that runs or without one, and change nothing. Main thread of a process
 * of its own.
 *
 * Exit status: 0 it is whole (it was exported); 1 it is broken, or cannot be read; 2 the command line is wrong.
 */
#include "config/config.h"
#include "observe/audit_export.h"
#include "observe/audit_verify.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

enum {
    OPTION_DATA = 1,
    OPTION_CONFIG,
    OPTION_HEAD,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_FORMAT,
    OPTION_HELP
};

struct request {
    const char *data_dir, *config_file;
    struct audit_anchor expected; /* seq 0: none */
    int64_t since_ms, until_ms;
    enum audit_format format;
};

static const char usage[] =
    "usage: convened audit verify [--data DIR] [--config FILE] [--expect-head [NUMBER:]HASH]\n"
    "       convened audit export [--data DIR] [--config FILE] [--since TIME] [--until TIME]\n"
    "                             [--format jsonl|csv]\n"
    "\n"
    "verify walks the hash chain of the audit trail and names the first entry that is not as it "
    "was\n"
    "written. Entries cut off the end are noticed by the file " AUDIT_ANCHOR_FILE
    " beside the database, and\n"
    "for certain with --expect-head: the head that an earlier run printed, kept elsewhere.\n"
    "export writes entries to standard output, from --since up to, not including, --until\n"
    "(2026-11-21, 2026-11-21T10:00:00Z or milliseconds since 1970).\n"
    "Both may run beside the daemon. Without --data the directory is the one that the daemon "
    "would\n"
    "take with the same --config and environment.\n";

static bool parse_format(const char *name, enum audit_format *ret)
{
    bool is_csv = strcmp(name, "csv") == 0;
    if (!is_csv && strcmp(name, "jsonl") != 0)
        return false;
    *ret = is_csv ? AUDIT_CSV : AUDIT_JSONL;
    return true;
}

static bool take_option(struct request *request, int option, const char *value)
{
    switch (option) {
    case OPTION_DATA:
        request->data_dir = value;
        return value[0] != '\0';
    case OPTION_CONFIG:
        request->config_file = value;
        return true;
    case OPTION_HEAD:
        return audit_anchor_parse(cvn_str(value), &request->expected);
    case OPTION_SINCE:
        return audit_time_parse(value, &request->since_ms);
    case OPTION_UNTIL:
        return audit_time_parse(value, &request->until_ms);
    case OPTION_FORMAT:
        return parse_format(value, &request->format);
    default:
        return false;
    }
}

static const struct option verify_options[] = {
    {"data", required_argument, NULL, OPTION_DATA},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"expect-head", required_argument, NULL, OPTION_HEAD},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static const struct option export_options[] = {
    {"data", required_argument, NULL, OPTION_DATA},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit status. */
static int parse(struct request *request, int argc, char **argv, const struct option *options)
{
    int option, index = 0;
    *request = (struct request){.since_ms = INT64_MIN, .until_ms = INT64_MAX};
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return 0;
        }
        if (option == '?')
            return 2; /* getopt has said why */
        if (!take_option(request, option, optarg)) {
            fprintf(stderr, "convened audit: --%s: not a good value: %s\n", options[index].name,
                    optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "convened audit: unexpected argument: %s\n", argv[optind]);
        return 2;
    }
    return -1;
}

/* --- Verify --- */

static void print_whole(const struct audit_report *report)
{
    char first[AUDIT_TIME_SIZE], last[AUDIT_TIME_SIZE], hex[AUDIT_HEX_SIZE];
    if (report->entries == 0)
        return;
    audit_time(report->first_ms, first);
    audit_time(report->last_ms, last);
    audit_hex(report->head.hash, hex);
    printf("from %s to %s\n", first, last);
    if (report->losses > 0)
        printf("%llu entries could not be kept when they happened (audit_lost)\n",
               (unsigned long long)report->losses);
    printf("head %lld:%s\n", (long long)report->head.seq, hex);
}

static int verify(struct store *store, const struct request *request, const char *data_dir)
{
    struct audit_anchor anchors[AUDIT_MAX_ANCHORS];
    struct audit_report report;
    size_t count = 0;
    char words[256];
    /* Before the snapshot: a daemon that runs moves it on. */
    switch (audit_anchor_read(data_dir, &anchors[count])) {
    case AUDIT_ANCHOR_READ:
        count++;
        break;
    case AUDIT_ANCHOR_MISSING:
        fprintf(stderr, "convened audit: there is no " AUDIT_ANCHOR_FILE
                        ": without it or --expect-head, a cut end goes unnoticed\n");
        break;
    case AUDIT_ANCHOR_UNREADABLE:
        printf("%s/" AUDIT_ANCHOR_FILE " cannot be read, or was changed\n", data_dir);
        return 1;
    }
    if (request->expected.seq != 0)
        anchors[count++] = request->expected;
    audit_verify(store, anchors, count, &report);
    audit_report_say(&report, words, sizeof words);
    printf("%s\n", words);
    if (report.fault == AUDIT_WHOLE)
        print_whole(&report);
    return report.fault == AUDIT_WHOLE ? 0 : 1;
}

/* --- Export --- */

struct export
{
    const struct request *request;
    cvn_text *text;
    int error; /* errno of standard output */
};

static bool print(struct export *export)
{
    cvn_slice line = cvn_text_slice(export->text);
    if (cvn_text_failed(export->text))
        export->error = ENOMEM;
    else if (line.size > 0 && fwrite(line.data, 1, line.size, stdout) != line.size)
        export->error = errno;
    cvn_text_clear(export->text);
    return export->error == 0;
}

static bool export_rows(struct store_tx *tx, void *data)
{
    struct export *export = data;
    const struct request *request = export->request;
    struct audit_row row;
    audit_export_head(request->format, export->text);
    if (!print(export) || !audit_row_walk(tx))
        return false;
    while (audit_row_next(tx, &row)) {
        if (row.time_ms < request->since_ms || row.time_ms >= request->until_ms)
            continue;
        audit_export_row(request->format, &row, export->text);
        if (!print(export))
            return false;
    }
    return !store_has_failed(tx);
}

static int export_all(struct store *store, const struct request *request)
{
    /* A row that somebody has made longer than ours ever are is still to be seen. */
    struct export export = {.request = request, .text = cvn_text_new((size_t)1 << 30)};
    bool is_done = export.text != NULL && store_run(store, export_rows, &export) == STORE_OK;
    cvn_text_free(export.text);
    if (is_done && fflush(stdout) != 0) {
        export.error = errno;
        is_done = false;
    }
    if (!is_done)
        fprintf(stderr, "convened audit: the export is not complete: %s\n",
                export.error != 0 ? strerror(export.error) : "the audit trail cannot be read");
    return is_done ? 0 : 1;
}

/* --- Both --- */

/* What the daemon would take; NULL: config_load has said why. Keys may be known to the daemon's unit alone, and no token is looked at here. */
static const struct config *load_config(const struct request *request)
{
    char *argv[] = {(char *)"convened", (char *)"--no-auth-required", (char *)"--config",
                    (char *)request->config_file, NULL};
    const struct config *config = NULL;
    int argc = request->config_file != NULL ? 4 : 2;
    argv[argc] = NULL;
    return config_load(&config, argc, argv) == CONFIG_RUN ? config : NULL;
}

int audit_command(int argc, char **argv)
{
    struct request request;
    const char *what = argc > 1 ? argv[1] : "";
    bool is_verify = strcmp(what, "verify") == 0;
    if (!is_verify && strcmp(what, "export") != 0) {
        bool is_help = strcmp(what, "--help") == 0 || strcmp(what, "help") == 0;
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? 0 : 2;
    }
    argv[1] = (char *)"convened audit"; /* who getopt complains as */
    int status = parse(&request, argc - 1, argv + 1, is_verify ? verify_options : export_options);
    if (status >= 0)
        return status;
    const struct config *config = request.data_dir == NULL ? load_config(&request) : NULL;
    if (request.data_dir == NULL && config == NULL)
        return 2;
    const char *data_dir = config != NULL ? config->server.data_dir : request.data_dir;
    struct store *store = store_open_readonly(data_dir);
    status = 1;
    if (store != NULL)
        status = is_verify ? verify(store, &request, data_dir) : export_all(store, &request);
    store_close(store);
    config_free(config);
    return status;
}
