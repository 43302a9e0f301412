/*
 * Directories of files, served as they are, from memory. A site is one or several directories below one prefix; whatever path lies below
 * the prefix is the site's to answer.
 */
#ifndef HTTP_STATIC_FILES_H
#define HTTP_STATIC_FILES_H

#include <convene/convene.h>

struct static_files;

/* A site without files. `prefix` ("" or "/name") comes before all paths; `policy` is its Content-Security-Policy. Both are static texts. NULL
 * when memory has run out. */
struct static_files *static_files_new(const char *prefix, const char *policy);
/* NULL is accepted. */
void static_files_free(struct static_files *files);
/* Reads the regular files below `dir` as "PREFIX/at/...", `at` being "" or "/name", sub-directories included; names that begin with a dot, and
 * what is beyond the bounds in static_files.c, are left out. False, with the reason on standard error, when it cannot be read, or memory has run
 * out. */
bool static_files_add(struct static_files *files, const char *at, const char *dir);
/* One file of that path, wherever it lies. False when it is not there or not served, which is said, or memory has run out. */
bool static_files_add_file(struct static_files *files, const char *path, const char *source);
/* Puts `to` in the place of every `from` in a file's content; a file that has none stays as it is. `path` as in static_files_add with the
 * name. False when memory has run out. */
bool static_files_replace(struct static_files *files, const char *path, const char *from,
                          const char *to);
/* The last call before serving. */
void static_files_seal(struct static_files *files);

/* The directory as a whole site at "/", sealed, for the demo; NULL as for static_files_add. */
struct static_files *static_files_load(const char *dir);

/*
 * Answers a GET or HEAD for one of them; index.html also answers its directory, with its slash. With a prefix all requests below it are
 * answered, be it with 404 or 405, and PREFIX itself is sent to "PREFIX/". False: the request is somebody else's. Any thread: nothing changes after
 * sealing.
 */
bool static_files_serve(const struct static_files *files, cvn_http_request *request);

#endif
