/*
 * A disk and a memory that fail on demand, below SQLite: a VFS in front of the real one, registered as the default, and an allocator in front of the real
 * one. faults_install() once, before SQLite is used; faults_set() arms, from any thread.
 */
#ifndef DAEMON_TEST_STORE_FAULTS_H
#define DAEMON_TEST_STORE_FAULTS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum fault {
    FAULT_NONE,
    FAULT_FULL,        /* no write finds room */
    FAULT_WRITE,       /* writes fail half-way */
    FAULT_SYNC,        /* nothing reaches the disk */
    FAULT_READ,        /* nothing can be read */
    FAULT_MEMORY,      /* SQLite gets no memory */
    FAULT_MEMORY_ONCE, /* one allocation fails */
    FAULT_COUNT
};

static atomic_int fault_kind;
static atomic_int fault_countdown; /* calls of that kind that still work */
static atomic_int fault_hits;

static void faults_set(enum fault kind, int countdown)
{
    atomic_store(&fault_countdown, countdown);
    atomic_store(&fault_kind, kind);
}

static bool is_hit(enum fault kind)
{
    if (atomic_load(&fault_kind) != (int)kind || atomic_fetch_sub(&fault_countdown, 1) > 0)
        return false;
    if (kind == FAULT_MEMORY_ONCE)
        atomic_store(&fault_kind, FAULT_NONE);
    atomic_fetch_add(&fault_hits, 1);
    return true;
}

/* --- Files --- */

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs fault_vfs;
static sqlite3_vfs *real_vfs;

#define REAL(file) (((struct fault_file *)(file))->real)

static int fault_close(sqlite3_file *file)
{
    return REAL(file)->pMethods->xClose(REAL(file));
}

static int fault_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    if (is_hit(FAULT_READ))
        return SQLITE_IOERR_READ;
    return REAL(file)->pMethods->xRead(REAL(file), bytes, size, offset);
}

static int fault_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    if (is_hit(FAULT_FULL))
        return SQLITE_FULL;
    if (is_hit(FAULT_WRITE)) {
        REAL(file)->pMethods->xWrite(REAL(file), bytes, size / 2, offset);
        return SQLITE_IOERR_WRITE;
    }
    return REAL(file)->pMethods->xWrite(REAL(file), bytes, size, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return REAL(file)->pMethods->xTruncate(REAL(file), size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    if (is_hit(FAULT_SYNC))
        return SQLITE_IOERR_FSYNC;
    return REAL(file)->pMethods->xSync(REAL(file), flags);
}

static int fault_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return REAL(file)->pMethods->xFileSize(REAL(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int fault_check_lock(sqlite3_file *file, int *is_reserved)
{
    return REAL(file)->pMethods->xCheckReservedLock(REAL(file), is_reserved);
}

static int fault_control(sqlite3_file *file, int op, void *arg)
{
    return REAL(file)->pMethods->xFileControl(REAL(file), op, arg);
}

static int fault_sector_size(sqlite3_file *file)
{
    return REAL(file)->pMethods->xSectorSize(REAL(file));
}

static int fault_traits(sqlite3_file *file)
{
    return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}

static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **map)
{
    return REAL(file)->pMethods->xShmMap(REAL(file), page, size, extend, map);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return REAL(file)->pMethods->xShmLock(REAL(file), offset, count, flags);
}

static void fault_shm_barrier(sqlite3_file *file)
{
    REAL(file)->pMethods->xShmBarrier(REAL(file));
}

static int fault_shm_unmap(sqlite3_file *file, int with_delete)
{
    return REAL(file)->pMethods->xShmUnmap(REAL(file), with_delete);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2,
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_file_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_check_lock,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector_size,
    .xDeviceCharacteristics = fault_traits,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags)
{
    struct fault_file *fault = (struct fault_file *)file;
    (void)vfs;
    fault->real = (sqlite3_file *)(fault + 1);
    int code = real_vfs->xOpen(real_vfs, name, fault->real, flags, ret_flags);
    fault->base.pMethods = fault->real->pMethods != NULL ? &fault_methods : NULL;
    return code;
}

/* --- Memory --- */

static sqlite3_mem_methods real_memory;

static void *fault_malloc(int size)
{
    if (is_hit(FAULT_MEMORY) || is_hit(FAULT_MEMORY_ONCE))
        return NULL;
    return real_memory.xMalloc(size);
}

static void *fault_realloc(void *memory, int size)
{
    if (is_hit(FAULT_MEMORY) || is_hit(FAULT_MEMORY_ONCE))
        return NULL;
    return real_memory.xRealloc(memory, size);
}

static void faults_install(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    sqlite3_mem_methods memory = real_memory;
    memory.xMalloc = fault_malloc;
    memory.xRealloc = fault_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* every allocation is one that may fail */
    real_vfs = sqlite3_vfs_find(NULL);
    fault_vfs = *real_vfs;
    fault_vfs.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
    fault_vfs.zName = "faults";
    fault_vfs.pNext = NULL;
    fault_vfs.xOpen = fault_open;
    sqlite3_vfs_register(&fault_vfs, 1);
}

#endif
