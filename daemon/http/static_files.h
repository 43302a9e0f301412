/* A directory of files, served as they are. */
#ifndef HTTP_STATIC_FILES_H
#define HTTP_STATIC_FILES_H

#include <convene/convene.h>

struct static_files;

/* Reads every regular file of the directory (not of its sub-directories) into memory; index.html also answers "/". NULL, with the reason on
 * standard error, when it cannot be read. */
struct static_files *static_files_load(const char *dir);
void static_files_free(struct static_files *files);
/* Answers a GET or HEAD for one of them; false when it is none. Any thread: nothing changes after loading. */
bool static_files_serve(const struct static_files *files, cvn_http_request *request);

#endif
