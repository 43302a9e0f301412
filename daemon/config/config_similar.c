/* The distance of names in letters that are missing, too many, wrong or swapped. Case is one, and so are "-", "_" and ".". Pure. */
#include "config/config_similar.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_LENGTH 63

static char plain(char byte)
{
    return byte == '-' || byte == '.' ? '_' : (char)tolower((unsigned char)byte);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows of the table at a time. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][MAX_LENGTH + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned differs = plain(a[i - 1]) != plain(b[j - 1]);
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) &&
                plain(a[i - 2]) == plain(b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_length];
}

void config_similar_init(struct config_similar *similar, const char *wrong)
{
    *similar = (struct config_similar){.wrong = wrong, .distance = ~0u};
}

void config_similar_try(struct config_similar *similar, const char *name)
{
    size_t wrong_length = strlen(similar->wrong), length = strlen(name);
    if (wrong_length > MAX_LENGTH || length > MAX_LENGTH || wrong_length == 0)
        return;
    unsigned found = distance(similar->wrong, wrong_length, name, length);
    unsigned most = wrong_length < 5 ? 1 : wrong_length < 9 ? 2 : 3;
    if (found > most || found >= similar->distance)
        return;
    similar->distance = found;
    snprintf(similar->best, sizeof similar->best, "%s", name);
}

const char *config_similar_best(const struct config_similar *similar)
{
    return similar->best[0] != '\0' ? similar->best : NULL;
}
