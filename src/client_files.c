/*
 * The client bundles that the reference server serves under its path: socket.io.js, socket.io.min.js, socket.io.esm.min.js,
 * socket.io.msgpack.min.js and their source maps, from the npm package. Read once before the threads start, shared by all of them.
 */
#include "convene_server.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>

#define MAX_FILE   (4 << 20)
#define FILE_COUNT 8

static const char *const file_names[FILE_COUNT] = {"socket.io.js",
                                                   "socket.io.js.map",
                                                   "socket.io.min.js",
                                                   "socket.io.min.js.map",
                                                   "socket.io.esm.min.js",
                                                   "socket.io.esm.min.js.map",
                                                   "socket.io.msgpack.min.js",
                                                   "socket.io.msgpack.min.js.map"};

struct client_files {
    struct message *contents[FILE_COUNT]; /* NULL: not in the package */
    char *prefix;                         /* "/socket.io/" */
    size_t prefix_size;
    char etag[64]; /* with its quotes */
};

/* A whole file as a message; CVN_ERR_NOT_FOUND when it does not exist. */
static enum cvn_error read_file(const char *dir, const char *name, struct message **ret)
{
    char path[4096];
    enum cvn_error error = CVN_ERR_SYSTEM;
    struct buf content;
    buf_init(&content, MAX_FILE);
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return CVN_ERR_ARGUMENT;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return errno == ENOENT || errno == ENOTDIR ? CVN_ERR_NOT_FOUND : CVN_ERR_SYSTEM;
    char piece[16384];
    size_t size;
    while ((size = fread(piece, 1, sizeof piece, file)) > 0)
        buf_append(&content, slice_of(piece, size));
    if (ferror(file))
        goto out;
    error = CVN_ERR_MEMORY;
    struct message *message = content.failed ? NULL : message_copy(buf_slice(&content));
    if (message == NULL)
        goto out;
    *ret = message;
    error = CVN_OK;
out:
    fclose(file);
    buf_release(&content);
    return error;
}

/* The package's version is the ETag, as the reference does it. */
static void read_version(const char *dir, struct client_files *files)
{
    struct message *package = NULL;
    char version[48] = "unknown";
    if (read_file(dir, "../package.json", &package) == CVN_OK) {
        if (json_is_valid(message_payload(package), 64))
            cvn_json_string(json_get(message_payload(package), SLICE("version")), version,
                            sizeof version);
        message_unref(package);
    }
    snprintf(files->etag, sizeof files->etag, "\"%s\"", version);
}

enum cvn_error client_files_load(const char *dir, const char *path, struct client_files **ret)
{
    struct client_files *files = mem_zalloc(sizeof *files);
    if (files == NULL)
        return CVN_ERR_MEMORY;
    enum cvn_error error = CVN_ERR_MEMORY;
    files->prefix_size = strlen(path) + 1;
    files->prefix = mem_alloc(files->prefix_size + 1);
    if (files->prefix == NULL)
        goto fail;
    snprintf(files->prefix, files->prefix_size + 1, "%s/", path);
    read_version(dir, files);
    size_t found = 0;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        error = read_file(dir, file_names[i], &files->contents[i]);
        if (error != CVN_OK && error != CVN_ERR_NOT_FOUND)
            goto fail;
        found += error == CVN_OK;
    }
    if (found == 0)
        log_write(LOG_WARN, "no client bundle in \"%s\": %s is not served", dir, file_names[0]);
    *ret = files;
    return CVN_OK;

fail:
    client_files_free(files);
    return error;
}

void client_files_free(struct client_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < FILE_COUNT; i++)
        message_unref(files->contents[i]);
    mem_free(files->prefix);
    mem_free(files);
}

static bool is_source_map(cvn_slice name)
{
    return name.size > 4 && memcmp(name.data + name.size - 4, ".map", 4) == 0;
}

static void answer(const struct client_files *files, size_t index, struct http_request *request)
{
    cvn_slice etag = cvn_str(files->etag);
    cvn_slice known = http_head_get(request->head, SLICE("if-none-match"));
    if (slice_starts_with(known, SLICE("W/")))
        known = slice_from(known, 2);
    http_request_add_field(request, SLICE("ETag"), etag);
    http_request_add_field(request, SLICE("Cache-Control"), SLICE("public, max-age=0"));
    if (slice_eq(known, etag))
        http_respond(request, 304, SLICE(""), SLICE(""));
    else
        http_respond_message(request, 200,
                             is_source_map(cvn_str(file_names[index]))
                                 ? SLICE("application/json; charset=utf-8")
                                 : SLICE("application/javascript; charset=utf-8"),
                             files->contents[index]);
}

bool client_files_serve(const struct client_files *files, struct http_request *request)
{
    cvn_slice path = request->head->path;
    if (request->method != HTTP_GET && request->method != HTTP_HEAD)
        return false;
    if (!slice_starts_with(path, slice_of(files->prefix, files->prefix_size)))
        return false;
    cvn_slice name = slice_from(path, files->prefix_size);
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (files->contents[i] != NULL && slice_eq(name, cvn_str(file_names[i]))) {
            answer(files, i, request);
            return true;
        }
    }
    return false;
}
