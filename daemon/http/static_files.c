/*
 * Static files, from memory: a request can only name what was read at the start, so there is no path to escape by. Loaded on the main
 * thread, read by the workers.
 *
 * Each file has a strong ETag, made of its bytes (RFC 9110 section 8.8.3), and If-None-Match is answered with 304. Names with a hash in them
 * ("app.0d7d7845.js"), as bundlers make them, never change their content, so browsers may keep those; all others are asked for again.
 */
#include "http/static_files.h"
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_FILES 1024
#define MAX_SIZE  (8 << 20)  /* bytes of one file */
#define MAX_TOTAL (64 << 20) /* of all */
#define MAX_DEPTH 8          /* of directories */
#define MAX_PATH  1024

#define DEMO_POLICY "default-src 'self'; connect-src 'self' ws: wss:"

struct file {
    char *path; /* "/name", without the prefix */
    char *content;
    size_t size;
    const char *type;
    bool is_hashed;
    char etag[36]; /* quoted */
};

struct static_files {
    const char *prefix, *policy;
    size_t total;
    size_t count;
    struct file files[MAX_FILES]; /* sorted by path once sealed */
};

/* --- What a file is --- */

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff", "font/woff"},
        {".woff2", "font/woff2"},
        {".ttf", "font/ttf"},
        {".wasm", "application/wasm"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* Whether a name has eight or more hex digits between two dots. */
static bool has_hash(const char *name)
{
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        size_t digits = strspn(dot + 1, "0123456789abcdef");
        if (digits >= 8 && dot[1 + digits] == '.')
            return true;
    }
    return false;
}

/* --- Reading --- */

static void release(struct file *file)
{
    free(file->path);
    free(file->content);
}

/* Takes the content over. False when memory has run out. */
static bool keep(struct static_files *files, const char *path, const char *name, char *content,
                 size_t size)
{
    struct file file = {.content = content,
                        .size = size,
                        .type = type_of(name),
                        .is_hashed = has_hash(name),
                        .path = strdup(path)};
    if (file.path == NULL) {
        release(&file);
        return false;
    }
    files->files[files->count++] = file;
    files->total += size;
    return true;
}

static void leave_out(const char *path, const char *why)
{
    fprintf(stderr, "convened: %s is not served: %s\n", path, why);
}

/* False when memory has run out; what cannot be served is said and left out. */
static bool read_file(struct static_files *files, const char *path, const char *source,
                      const char *name, off_t size)
{
    if (size > MAX_SIZE || (size_t)size > MAX_TOTAL - files->total || files->count == MAX_FILES) {
        leave_out(source, "too large, or too many files");
        return true;
    }
    FILE *stream = fopen(source, "rb");
    if (stream == NULL) {
        leave_out(source, strerror(errno));
        return true;
    }
    char *content = malloc((size_t)size + 1);
    size_t got = content != NULL ? fread(content, 1, (size_t)size, stream) : 0;
    fclose(stream);
    if (content == NULL)
        return false;
    content[got] = '\0'; /* for static_files_replace */
    return keep(files, path, name, content, got);
}

static bool read_dir(struct static_files *files, const char *at, const char *dir, unsigned depth);

static bool read_entry(struct static_files *files, const char *at, const char *dir,
                       const char *name, unsigned depth)
{
    char path[MAX_PATH], source[4096];
    struct stat info;
    if (name[0] == '.' || snprintf(path, sizeof path, "%s/%s", at, name) >= (int)sizeof path ||
        snprintf(source, sizeof source, "%s/%s", dir, name) >= (int)sizeof source ||
        stat(source, &info) != 0)
        return true;
    if (S_ISREG(info.st_mode))
        return read_file(files, path, source, name, info.st_size);
    if (!S_ISDIR(info.st_mode))
        return true;
    if (depth == MAX_DEPTH) {
        leave_out(source, "too deep");
        return true;
    }
    return read_dir(files, path, source, depth + 1);
}

static bool read_dir(struct static_files *files, const char *at, const char *dir, unsigned depth)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        fprintf(stderr, "convened: cannot read %s: %s\n", dir, strerror(errno));
        return false;
    }
    bool done = true;
    const struct dirent *entry;
    while (done && (entry = readdir(listing)) != NULL)
        done = read_entry(files, at, dir, entry->d_name, depth);
    closedir(listing);
    return done;
}

struct static_files *static_files_new(const char *prefix, const char *policy)
{
    struct static_files *files = calloc(1, sizeof *files);
    if (files == NULL)
        return NULL;
    files->prefix = prefix;
    files->policy = policy;
    return files;
}

bool static_files_add(struct static_files *files, const char *at, const char *dir)
{
    return read_dir(files, at, dir, 0);
}

bool static_files_add_file(struct static_files *files, const char *path, const char *source)
{
    struct stat info;
    size_t count = files->count;
    if (stat(source, &info) != 0 || !S_ISREG(info.st_mode)) {
        leave_out(source, "not there");
        return false;
    }
    return read_file(files, path, source, strrchr(path, '/'), info.st_size) && files->count > count;
}

struct static_files *static_files_load(const char *dir)
{
    struct static_files *files = static_files_new("", DEMO_POLICY);
    if (files == NULL || !static_files_add(files, "", dir)) {
        static_files_free(files);
        return NULL;
    }
    static_files_seal(files);
    return files;
}

void static_files_free(struct static_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->count; i++)
        release(&files->files[i]);
    free(files);
}

/* --- Changing --- */

static size_t count_of(const char *text, const char *piece)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, piece)) != NULL; at += strlen(piece))
        count++;
    return count;
}

static bool replace_in(struct file *file, const char *from, const char *to)
{
    size_t count = count_of(file->content, from);
    size_t size = file->size - count * strlen(from) + count * strlen(to);
    if (count == 0)
        return true;
    char *content = malloc(size + 1), *end = content;
    if (content == NULL)
        return false;
    const char *rest = file->content;
    for (const char *found; (found = strstr(rest, from)) != NULL; rest = found + strlen(from)) {
        memcpy(end, rest, (size_t)(found - rest));
        end += found - rest;
        end = stpcpy(end, to);
    }
    memcpy(end, rest, (size_t)(file->content + file->size - rest) + 1);
    free(file->content);
    file->content = content;
    file->size = size;
    return true;
}

bool static_files_replace(struct static_files *files, const char *path, const char *from,
                          const char *to)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->files[i].path, path) == 0)
            return replace_in(&files->files[i], from, to);
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct file *one = a, *other = b;
    return strcmp(one->path, other->path);
}

/* Without memory for a digest the file goes without an ETag. */
static void make_etag(struct file *file)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!EVP_Digest(file->content, file->size, digest, &size, EVP_sha256(), NULL))
        return;
    char *end = file->etag;
    *end++ = '"';
    for (unsigned i = 0; i < 16; i++)
        end += snprintf(end, 3, "%02x", digest[i]);
    *end++ = '"';
    *end = '\0';
}

void static_files_seal(struct static_files *files)
{
    qsort(files->files, files->count, sizeof *files->files, compare);
    for (size_t i = 0; i < files->count; i++)
        make_etag(&files->files[i]);
}

/* --- Serving --- */

static bool is_text(cvn_slice slice, const char *text)
{
    return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

static const struct file *find(const struct static_files *files, const char *path)
{
    const struct file key = {.path = (char *)path};
    return bsearch(&key, files->files, files->count, sizeof key, compare);
}

/* The file of a path below the prefix, or NULL. */
static const struct file *file_of(const struct static_files *files, cvn_slice path)
{
    char name[MAX_PATH + sizeof "index.html"];
    if (path.size == 0 || path.size >= MAX_PATH || memchr(path.data, '\0', path.size) != NULL)
        return NULL;
    memcpy(name, path.data, path.size);
    name[path.size] = '\0';
    if (name[path.size - 1] == '/')
        memcpy(name + path.size, "index.html", sizeof "index.html");
    return find(files, name);
}

/* Whether a list of entity tags names this one; weakly compared, as RFC 9110 section 13.1.2 wants it. */
static bool names_etag(cvn_slice list, const char *etag)
{
    const char *at = list.data, *end = list.data + list.size;
    while (at < end) {
        while (at < end && (*at == ' ' || *at == '\t' || *at == ','))
            at++;
        const char *start = at;
        while (at < end && *at != ',')
            at++;
        cvn_slice tag = {start, (size_t)(at - start)};
        while (tag.size > 0 && (tag.data[tag.size - 1] == ' ' || tag.data[tag.size - 1] == '\t'))
            tag.size--;
        if (tag.size > 2 && tag.data[0] == 'W' && tag.data[1] == '/') {
            tag.data += 2;
            tag.size -= 2;
        }
        if (is_text(tag, "*") || is_text(tag, etag))
            return true;
    }
    return false;
}

static void answer(const struct static_files *files, const struct file *file,
                   cvn_http_request *request)
{
    cvn_slice known = cvn_http_header(request, "If-None-Match");
    cvn_http_add_header(
        request, "Cache-Control",
        cvn_str(file->is_hashed ? "public, max-age=31536000, immutable" : "no-cache"));
    cvn_http_add_header(request, "X-Content-Type-Options", cvn_str("nosniff"));
    cvn_http_add_header(request, "Content-Security-Policy", cvn_str(files->policy));
    cvn_http_add_header(request, "Referrer-Policy", cvn_str("no-referrer"));
    if (file->etag[0] != '\0')
        cvn_http_add_header(request, "ETag", cvn_str(file->etag));
    if (file->etag[0] != '\0' && known.size > 0 && names_etag(known, file->etag))
        cvn_http_respond(request, 304, NULL, cvn_str(""));
    else
        cvn_http_respond(request, 200, file->type, (cvn_slice){file->content, file->size});
}

static void refuse(cvn_http_request *request, int status, const char *words)
{
    if (status == 405)
        cvn_http_add_header(request, "Allow", cvn_str("GET, HEAD"));
    cvn_http_respond(request, status, "text/plain; charset=utf-8", cvn_str(words));
}

/* What is left of the path behind the prefix; false when it does not lie there. */
static bool below_prefix(const struct static_files *files, cvn_slice *path)
{
    size_t size = strlen(files->prefix);
    if (path->size < size || memcmp(path->data, files->prefix, size) != 0 ||
        (path->size > size && path->data[size] != '/'))
        return false;
    path->data += size;
    path->size -= size;
    return true;
}

bool static_files_serve(const struct static_files *files, cvn_http_request *request)
{
    cvn_slice method = cvn_http_method(request), path = cvn_http_path(request);
    bool has_prefix = files->prefix[0] != '\0';
    if (!below_prefix(files, &path))
        return false;
    if (!is_text(method, "GET") && !is_text(method, "HEAD")) {
        if (has_prefix)
            refuse(request, 405, "Method Not Allowed\n");
        return has_prefix;
    }
    if (path.size == 0) {
        char location[MAX_PATH];
        snprintf(location, sizeof location, "%s/", files->prefix);
        cvn_http_add_header(request, "Location", cvn_str(location));
        cvn_http_respond(request, 302, NULL, cvn_str(""));
        return true;
    }
    const struct file *file = file_of(files, path);
    if (file != NULL)
        answer(files, file, request);
    else if (has_prefix)
        refuse(request, 404, "Not Found\n");
    return file != NULL || has_prefix;
}
