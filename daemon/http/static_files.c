/*
 * Static files, from memory: a request can only name what was read at the start, so there is no path to escape by. Loaded on the main
 * thread, read by the workers.
 */
#include "http/static_files.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_FILES 256
#define MAX_SIZE  (8 << 20)

struct file {
    char *path; /* "/name" */
    char *content;
    size_t size;
    const char *type;
};

struct static_files {
    struct file files[MAX_FILES];
    size_t count;
};

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static bool read_file(struct file *file, const char *dir, const char *name)
{
    char path[4096];
    struct stat info;
    bool done = false;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return true; /* cannot be opened, so it is not served */
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > MAX_SIZE)
        return true;
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return true;
    file->size = (size_t)info.st_size;
    file->content = malloc(file->size + 1);
    file->path = malloc(strlen(name) + 2);
    if (file->content != NULL && file->path != NULL) {
        file->size = fread(file->content, 1, file->size, stream);
        snprintf(file->path, strlen(name) + 2, "/%s", name);
        file->type = type_of(name);
        done = true;
    }
    fclose(stream);
    return done;
}

struct static_files *static_files_load(const char *dir)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        fprintf(stderr, "convened: cannot read %s: %s\n", dir, strerror(errno));
        return NULL;
    }
    struct static_files *files = calloc(1, sizeof *files);
    const struct dirent *entry;
    while (files != NULL && files->count < MAX_FILES && (entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        struct file file = {0};
        if (read_file(&file, dir, entry->d_name)) {
            if (file.path != NULL)
                files->files[files->count++] = file;
        } else {
            free(file.content);
            free(file.path);
            static_files_free(files);
            files = NULL;
        }
    }
    closedir(listing);
    if (files == NULL)
        fprintf(stderr, "convened: out of memory\n");
    return files;
}

void static_files_free(struct static_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->count; i++) {
        free(files->files[i].path);
        free(files->files[i].content);
    }
    free(files);
}

static bool is_text(cvn_slice slice, const char *text)
{
    return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

bool static_files_serve(const struct static_files *files, cvn_http_request *request)
{
    cvn_slice method = cvn_http_method(request), path = cvn_http_path(request);
    if (!is_text(method, "GET") && !is_text(method, "HEAD"))
        return false;
    if (is_text(path, "/"))
        path = cvn_str("/index.html");
    for (size_t i = 0; i < files->count; i++) {
        const struct file *file = &files->files[i];
        if (!is_text(path, file->path))
            continue;
        cvn_http_add_header(request, "Cache-Control", cvn_str("no-cache"));
        cvn_http_add_header(request, "X-Content-Type-Options", cvn_str("nosniff"));
        cvn_http_add_header(request, "Content-Security-Policy",
                            cvn_str("default-src 'self'; connect-src 'self' ws: wss:"));
        cvn_http_respond(request, 200, file->type, (cvn_slice){file->content, file->size});
        return true;
    }
    return false;
}
