/* Loads configurations from texts, with an environment and arguments of the test's own. */
#ifndef TEST_CONFIG_RIG_H
#define TEST_CONFIG_RIG_H

#include "config/config_draft.h"
#include "config/config_sources.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct rig {
    struct config_draft *draft;
    const struct config *config; /* the draft's */
    struct config_report report;
};

#define RIG_MAX   32
#define ARGS(...) ((const char *[]){"convened", __VA_ARGS__, NULL})
#define NO_ARGS   ((const char *[]){"convened", NULL})
#define ENV(...)  ((const char *[]){__VA_ARGS__, NULL})
#define NO_ENV    ((const char *[]){NULL})

static inline void rig_load_default(struct rig *ret, const char *const *args,
                                    const char *const *env, const char *default_file)
{
    char *argv[RIG_MAX], *environment[RIG_MAX];
    int argc = 0;
    size_t count = 0;
    for (; args[argc] != NULL; argc++)
        argv[argc] = (char *)(size_t)args[argc];
    argv[argc] = NULL;
    for (; env[count] != NULL; count++)
        environment[count] = (char *)(size_t)env[count];
    environment[count] = NULL;
    const struct config_input input = {argc, argv, environment, default_file};
    *ret = (struct rig){0};
    ret->draft = config_draft_new(&input, &ret->report);
    assert_non_null(ret->draft);
    ret->config = &ret->draft->config;
}

static inline void rig_load(struct rig *ret, const char *const *args, const char *const *env)
{
    rig_load_default(ret, args, env, NULL);
}

static inline void rig_release(struct rig *rig)
{
    config_draft_free(rig->draft);
    config_report_release(&rig->report);
}

static inline bool rig_says(const struct rig *rig, const char *words)
{
    for (size_t i = 0; i < rig->report.count; i++)
        if (strstr(rig->report.lines[i], words) != NULL)
            return true;
    return false;
}

static inline void rig_print(const struct rig *rig)
{
    for (size_t i = 0; i < rig->report.count; i++)
        print_message("%s\n", rig->report.lines[i]);
}

/* Good, or the test fails and says why. */
static inline void rig_assert_good(const struct rig *rig)
{
    if (rig->report.errors > 0)
        rig_print(rig);
    assert_int_equal(rig->report.errors, 0);
}

static inline void rig_assert_error(const struct rig *rig, const char *words)
{
    bool found = false;
    for (size_t i = 0; i < rig->report.count; i++)
        found |= rig->report.is_error[i] && strstr(rig->report.lines[i], words) != NULL;
    if (!found) {
        print_message("missing: %s\n", words);
        rig_print(rig);
    }
    assert_true(found);
}

/* A temporary file with that text; to be unlinked and freed by rig_drop. */
static inline char *rig_file(const char *text, size_t size)
{
    char *path = strdup("/tmp/convene-config-XXXXXX");
    assert_non_null(path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
    return path;
}

static inline void rig_drop(char *path)
{
    unlink(path);
    free(path);
}

/* Loads a file of that text with --dev. */
static inline void rig_load_text(struct rig *ret, const char *text)
{
    char *path = rig_file(text, strlen(text));
    rig_load(ret, ARGS("--dev", "--config", path), NO_ENV);
    rig_drop(path);
}

#endif
