/* One line, "NUMBER HASH", in a file that is replaced as a whole. Main thread and the store's. */
#include "observe/audit_anchor.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool path_in(const char *data_dir, const char *name, char *ret, size_t size)
{
    if (snprintf(ret, size, "%s/%s", data_dir, name) < (int)size)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

bool audit_anchor_parse(cvn_slice text, struct audit_anchor *ret)
{
    struct audit_anchor anchor = {.seq = 0};
    size_t i = 0;
    while (i < text.size && i < 18 && text.data[i] >= '0' && text.data[i] <= '9')
        anchor.seq = anchor.seq * 10 + (text.data[i++] - '0');
    if (i > 0 && i < text.size && (text.data[i] == ':' || text.data[i] == ' ')) {
        i++;
    } else {
        anchor.seq = -1;
        i = 0;
    }
    if (anchor.seq == 0 || !audit_hex_parse((cvn_slice){text.data + i, text.size - i}, anchor.hash))
        return false;
    *ret = anchor;
    return true;
}

enum audit_anchor_result audit_anchor_read(const char *data_dir, struct audit_anchor *ret)
{
    char path[4096], line[128];
    struct audit_anchor anchor;
    if (!path_in(data_dir, AUDIT_ANCHOR_FILE, path, sizeof path))
        return AUDIT_ANCHOR_UNREADABLE;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? AUDIT_ANCHOR_MISSING : AUDIT_ANCHOR_UNREADABLE;
    ssize_t size = read(fd, line, sizeof line);
    close(fd);
    if (size <= 0 || line[size - 1] != '\n' ||
        !audit_anchor_parse((cvn_slice){line, (size_t)size - 1}, &anchor) || anchor.seq < 0)
        return AUDIT_ANCHOR_UNREADABLE;
    *ret = anchor;
    return AUDIT_ANCHOR_READ;
}

static bool write_line(const char *path, const char *line, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool is_written = write(fd, line, size) == (ssize_t)size && fsync(fd) == 0;
    return close(fd) == 0 && is_written;
}

bool audit_anchor_write(const char *data_dir, const struct audit_anchor *anchor)
{
    char path[4096], fresh[4096], hex[AUDIT_HEX_SIZE], line[128];
    if (!path_in(data_dir, AUDIT_ANCHOR_FILE, path, sizeof path) ||
        !path_in(data_dir, AUDIT_ANCHOR_FILE ".new", fresh, sizeof fresh))
        return false;
    audit_hex(anchor->hash, hex);
    int size = snprintf(line, sizeof line, "%lld %s\n", (long long)anchor->seq, hex);
    return write_line(fresh, line, (size_t)size) && rename(fresh, path) == 0;
}
