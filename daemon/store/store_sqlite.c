/*
 * A connection to the database file: how it is opened, what its errors mean, and what the log hears of them. Used by one thread at a time: the main
 * thread before the start, then the writer's or the reader's own.
 *
 * Durability: the journal is a write-ahead log that each COMMIT syncs (synchronous=FULL), so what is acknowledged survives the power going, not
 * only the process. NORMAL would sync at checkpoints alone and lose the last seconds; group commit pays for the difference.
 */
#include "observe/log.h"
#include "store/store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID     0x436f6e76 /* "Conv", in the file's header */
#define JOURNAL_SIZE_LIMIT 67108864   /* bytes that the write-ahead log keeps after a checkpoint */

static const char *name_of(const struct store_tx *tx)
{
    return tx->is_reader ? "reader" : "writer";
}

enum store_result store_result_of(const struct store_tx *tx, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
        return STORE_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STORE_BUSY;
    case SQLITE_ERROR: /* the statement is wrong */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_TOOBIG:
    case SQLITE_SCHEMA:
    case SQLITE_MISUSE:
        return STORE_ABORTED;
    case SQLITE_READONLY: /* a query that would write */
        return tx->is_reader ? STORE_ABORTED : STORE_UNAVAILABLE;
    default:
        return STORE_UNAVAILABLE;
    }
}

/* Errors that belong to this connection, or may: a new one is worth trying. */
static bool breaks_connection(const struct store_tx *tx, int code)
{
    switch (code & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return true;
    case SQLITE_READONLY:
        return !tx->is_reader;
    default:
        return false;
    }
}

void store_mark(struct store_tx *tx, bool is_down)
{
    if (tx->is_down && !is_down)
        log_entry(LOG_INFO, "the store works again", LOG_TEXT("connection", name_of(tx)), LOG_END);
    tx->is_down = is_down;
    if (tx->store != NULL)
        atomic_store(tx->is_reader ? &tx->store->reader_down : &tx->store->writer_down, is_down);
}

bool store_fail(struct store_tx *tx, int code, const char *what)
{
    enum store_result result = store_result_of(tx, code);
    if (tx->error != SQLITE_OK)
        return false;
    tx->error = code;
    tx->is_broken = tx->is_broken || breaks_connection(tx, code);
    if ((code & 0xff) == SQLITE_CONSTRAINT)
        return false;                                      /* that is for the module to expect */
    bool is_new = result == STORE_ABORTED || !tx->is_down; /* once, not per job, while it is down */
    const char *words = tx->db != NULL && sqlite3_errcode(tx->db) == (code & 0xff)
                            ? sqlite3_errmsg(tx->db)
                            : sqlite3_errstr(code);
    if (is_new)
        log_entry(LOG_ERROR,
                  result == STORE_ABORTED ? "a statement is wrong"
                                          : "the store cannot be used; it is tried again",
                  LOG_TEXT("error", words), LOG_TEXT("code", sqlite3_errstr(code)),
                  LOG_NUMBER("sqlite_code", code), LOG_TEXT("connection", name_of(tx)),
                  LOG_TEXT("what", what), LOG_END);
    if (result != STORE_ABORTED)
        store_mark(tx, true);
    return false;
}

bool store_run_sql(struct store_tx *tx, const char *sql)
{
    int code = sqlite3_exec(tx->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK || store_fail(tx, code, sql);
}

/* The first value of a pragma as text. */
static bool read_pragma(struct store_tx *tx, const char *sql, char *ret, size_t size)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(tx->db, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(stmt, 0);
        sqlite3_snprintf((int)size, ret, "%s", text != NULL ? (const char *)text : "");
    }
    sqlite3_finalize(stmt);
    return code == SQLITE_ROW || store_fail(tx, code, sql);
}

static bool refuse(struct store_tx *tx, const char *why)
{
    log_entry(LOG_ERROR, why, LOG_TEXT("path", tx->store->path), LOG_END);
    tx->error = SQLITE_CANTOPEN;
    return false;
}

/* SQLite gives the write-ahead log and its index the mode of the database, which nobody else is to read. */
static bool make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        return close(fd) == 0;
    /* Never open()ed when it exists: closing a descriptor of the file would let go of SQLite's locks on it. */
    struct stat status;
    return errno == EEXIST && stat(path, &status) == 0 &&
           ((status.st_mode & 077) == 0 || chmod(path, status.st_mode & 0700) == 0);
}

static bool is_ours(struct store_tx *tx, bool may_create)
{
    char text[64];
    if (!read_pragma(tx, "PRAGMA application_id", text, sizeof text))
        return false;
    if (strtoll(text, NULL, 10) == APPLICATION_ID)
        return true;
    if (!read_pragma(tx, "SELECT count(*) FROM sqlite_schema", text, sizeof text))
        return false;
    if (strcmp(text, "0") != 0 || !may_create)
        return refuse(tx, "the database is not one of convened's");
    sqlite3_snprintf(sizeof text, text, "PRAGMA application_id=%d", APPLICATION_ID);
    return store_run_sql(tx, text);
}

static bool prepare_fixed(struct store_tx *tx)
{
    const struct {
        sqlite3_stmt **stmt;
        const char *sql;
    } fixed[] = {
        {&tx->begin, tx->is_reader ? "BEGIN" : "BEGIN IMMEDIATE"},
        {&tx->savepoint, "SAVEPOINT job"},
        {&tx->release, "RELEASE job"},
        {&tx->rollback_to, "ROLLBACK TO job"},
        {&tx->commit, "COMMIT"},
        {&tx->rollback, "ROLLBACK"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        int code = sqlite3_prepare_v3(tx->db, fixed[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      fixed[i].stmt, NULL);
        if (code != SQLITE_OK)
            return store_fail(tx, code, fixed[i].sql);
    }
    return true;
}

static bool set_up(struct store_tx *tx, bool may_create)
{
    char text[64];
    sqlite3_extended_result_codes(tx->db, 1);
    sqlite3_busy_timeout(tx->db, STORE_BUSY_MS);
    sqlite3_db_config(tx->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(tx->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!is_ours(tx, may_create))
        return false;
    if (tx->is_reader)
        return store_run_sql(tx, "PRAGMA query_only=ON") && prepare_fixed(tx);
    if (!read_pragma(tx, "PRAGMA journal_mode=WAL", text, sizeof text))
        return false;
    if (strcmp(text, "wal") != 0)
        return refuse(tx, "the file system of the database does not bear a write-ahead log");
    sqlite3_snprintf(sizeof text, text, "PRAGMA journal_size_limit=%d", JOURNAL_SIZE_LIMIT);
    return store_run_sql(tx, "PRAGMA synchronous=FULL") &&
           store_run_sql(tx, "PRAGMA foreign_keys=ON") && store_run_sql(tx, text) &&
           prepare_fixed(tx);
}

bool store_connect(struct store_tx *tx, bool may_create)
{
    const char *path = tx->store->path;
    struct stat status;
    tx->error = SQLITE_OK;
    if (may_create && !make_file(path)) {
        log_entry(LOG_ERROR, "the database cannot be made", LOG_TEXT("path", path),
                  LOG_TEXT("error", strerror(errno)), LOG_END);
        return false;
    }
    if (stat(path, &status) != 0)
        return store_fail(tx, SQLITE_CANTOPEN, "stat");
    /* A path that begins with "file:" is a path. */
    int flags = (tx->is_reader ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int code = sqlite3_open_v2(path, &tx->db, flags, NULL);
    bool is_done = code == SQLITE_OK ? set_up(tx, may_create) : store_fail(tx, code, "open");
    tx->is_broken = !is_done;
    tx->device = status.st_dev;
    tx->inode = status.st_ino;
    if (!is_done)
        store_disconnect(tx);
    return is_done;
}

void store_disconnect(struct store_tx *tx)
{
    sqlite3_stmt **fixed[] = {&tx->begin,       &tx->savepoint, &tx->release,
                              &tx->rollback_to, &tx->commit,    &tx->rollback};
    store_tx_forget_statements(tx);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        sqlite3_finalize(*fixed[i]);
        *fixed[i] = NULL;
    }
    sqlite3_close(tx->db);
    tx->db = NULL;
}

int store_step(sqlite3_stmt *stmt)
{
    int code = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The file is still the one at the path. */
static bool is_in_place(const struct store_tx *tx)
{
    struct stat status;
    return stat(tx->store->path, &status) == 0 && status.st_dev == tx->device &&
           status.st_ino == tx->inode;
}

bool store_begin(struct store_tx *tx)
{
    store_tx_begin(tx);
    if (tx->db != NULL && !tx->is_broken && !is_in_place(tx))
        return store_fail(tx, SQLITE_CANTOPEN, "the database file was moved or removed");
    if (tx->is_broken)
        store_disconnect(tx);
    if (tx->db == NULL && !store_connect(tx, false))
        return false;
    int code = store_step(tx->begin);
    return code == SQLITE_OK || store_fail(tx, code, "BEGIN");
}
