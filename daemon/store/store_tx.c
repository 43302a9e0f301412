/*
 * What a store_fn does: values, statements, rows. On the store's thread that runs the transaction.
 *
 * Statements are prepared once a connection and found again by their text. The first failure is remembered in tx->error and makes everything after it fail
 * too, so a store_fn may look at results at its end only.
 */
#include "observe/log.h"
#include "store/store_internal.h"
#include <stdlib.h>
#include <string.h>

void store_tx_begin(struct store_tx *tx)
{
    tx->error = SQLITE_OK;
    tx->highest = 0;
    tx->bound_size = 0;
    tx->query = NULL;
    tx->has_row = false;
    memset(tx->values, 0, sizeof tx->values);
}

static void end_query(struct store_tx *tx)
{
    if (tx->query == NULL)
        return;
    sqlite3_reset(tx->query);
    sqlite3_clear_bindings(tx->query);
    tx->query = NULL;
    tx->has_row = false;
}

void store_tx_end(struct store_tx *tx)
{
    end_query(tx);
    if (tx->statement_count > STORE_MAX_STATEMENTS)
        store_tx_forget_statements(tx);
}

void store_tx_forget_statements(struct store_tx *tx)
{
    tx->query = NULL;
    tx->has_row = false;
    for (size_t i = 0; i < STORE_BUCKETS; i++) {
        while (tx->statements[i] != NULL) {
            struct store_statement *statement = tx->statements[i];
            tx->statements[i] = statement->next;
            sqlite3_finalize(statement->stmt);
            free(statement);
        }
    }
    tx->statement_count = 0;
}

void store_tx_release(struct store_tx *tx)
{
    store_disconnect(tx);
    free(tx->bound_bytes);
    tx->bound_bytes = NULL;
    tx->bound_capacity = 0;
}

bool store_has_failed(const struct store_tx *tx)
{
    return tx->error != SQLITE_OK;
}

/* --- Values --- */

static struct store_value *value_at(struct store_tx *tx, unsigned index)
{
    if (index == 0 || index > STORE_MAX_BINDS) {
        store_fail(tx, SQLITE_RANGE, "bind");
        return NULL;
    }
    if (tx->highest < index)
        tx->highest = index;
    return &tx->values[index];
}

static void bind_bytes(struct store_tx *tx, unsigned index, cvn_slice bytes, int type)
{
    struct store_value *value = value_at(tx, index);
    if (value == NULL)
        return;
    if (bytes.size > tx->bound_capacity - tx->bound_size) {
        size_t capacity = tx->bound_capacity * 2 + bytes.size + 256;
        char *grown = realloc(tx->bound_bytes, capacity);
        if (grown == NULL) {
            store_fail(tx, SQLITE_NOMEM, "bind");
            return;
        }
        tx->bound_bytes = grown;
        tx->bound_capacity = capacity;
    }
    value->type = type;
    value->offset = tx->bound_size;
    value->size = bytes.size;
    if (bytes.size > 0)
        memcpy(tx->bound_bytes + tx->bound_size, bytes.data, bytes.size);
    tx->bound_size += bytes.size;
}

void store_bind_text(struct store_tx *tx, unsigned index, cvn_slice text)
{
    bind_bytes(tx, index, text, STORE_TEXT);
}

void store_bind_blob(struct store_tx *tx, unsigned index, cvn_slice bytes)
{
    bind_bytes(tx, index, bytes, STORE_BLOB);
}

void store_bind_integer(struct store_tx *tx, unsigned index, int64_t value)
{
    struct store_value *place = value_at(tx, index);
    if (place != NULL)
        *place = (struct store_value){.type = STORE_INTEGER, .integer = value};
}

void store_bind_null(struct store_tx *tx, unsigned index)
{
    struct store_value *place = value_at(tx, index);
    if (place != NULL)
        *place = (struct store_value){.type = STORE_NULL};
}

static int bind_value(const struct store_tx *tx, sqlite3_stmt *stmt, unsigned index)
{
    const struct store_value *value = &tx->values[index];
    /* An empty slice may have no address, which SQLite would take for NULL. The bytes of a query have to outlive what is bound after it. */
    const char *bytes = value->size > 0 ? tx->bound_bytes + value->offset : "";
    switch (value->type) {
    case STORE_INTEGER:
        return sqlite3_bind_int64(stmt, (int)index, value->integer);
    case STORE_TEXT:
        return sqlite3_bind_text64(stmt, (int)index, bytes, value->size, SQLITE_TRANSIENT,
                                   SQLITE_UTF8);
    case STORE_BLOB:
        return sqlite3_bind_blob64(stmt, (int)index, bytes, value->size, SQLITE_TRANSIENT);
    case STORE_UNBOUND:
    case STORE_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, (int)index);
}

/* Hands the values to the statement and forgets them. */
static bool bind_all(struct store_tx *tx, sqlite3_stmt *stmt)
{
    int code = SQLITE_OK;
    if ((int)tx->highest != sqlite3_bind_parameter_count(stmt))
        code = SQLITE_RANGE; /* too many or too few: somebody has miscounted */
    for (unsigned i = 1; i <= tx->highest && code == SQLITE_OK; i++)
        code = bind_value(tx, stmt, i);
    memset(tx->values, 0, (tx->highest + 1) * sizeof *tx->values);
    tx->highest = 0;
    tx->bound_size = 0;
    return code == SQLITE_OK || store_fail(tx, code, sqlite3_sql(stmt));
}

/* --- Statements --- */

static uint64_t hash_of(const char *sql)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: the texts are the program's own */
    for (; *sql != '\0'; sql++)
        hash = (hash ^ (unsigned char)*sql) * 1099511628211u;
    return hash;
}

static bool is_blank(const char *sql)
{
    return sql[strspn(sql, " \t\r\n;")] == '\0';
}

static sqlite3_stmt *prepare(struct store_tx *tx, const char *sql, uint64_t hash)
{
    struct store_statement *statement = malloc(sizeof *statement);
    sqlite3_stmt *stmt = NULL;
    const char *rest = "";
    if (statement == NULL) {
        store_fail(tx, SQLITE_NOMEM, sql);
        return NULL;
    }
    int code = sqlite3_prepare_v3(tx->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &rest);
    if (code == SQLITE_OK && (stmt == NULL || !is_blank(rest)))
        code = SQLITE_MISUSE; /* nothing at all, or more than one statement */
    if (code != SQLITE_OK) {
        store_fail(tx, code, sql);
        sqlite3_finalize(stmt);
        free(statement);
        return NULL;
    }
    struct store_statement **bucket = &tx->statements[hash % STORE_BUCKETS];
    *statement = (struct store_statement){.next = *bucket, .stmt = stmt, .hash = hash};
    *bucket = statement;
    tx->statement_count++;
    return stmt;
}

static sqlite3_stmt *find_or_prepare(struct store_tx *tx, const char *sql)
{
    uint64_t hash = hash_of(sql);
    struct store_statement *statement = tx->statements[hash % STORE_BUCKETS];
    for (; statement != NULL; statement = statement->next)
        if (statement->hash == hash && strcmp(sqlite3_sql(statement->stmt), sql) == 0)
            return statement->stmt;
    return prepare(tx, sql, hash);
}

/* Ready to be stepped, with its values; NULL: it has failed. */
static sqlite3_stmt *ready(struct store_tx *tx, const char *sql)
{
    if (tx->error != SQLITE_OK)
        return NULL;
    sqlite3_stmt *stmt = find_or_prepare(tx, sql);
    if (stmt == NULL)
        return NULL;
    if (stmt == tx->query)
        end_query(tx);
    return bind_all(tx, stmt) ? stmt : NULL;
}

bool store_exec(struct store_tx *tx, const char *sql, int64_t *ret_changes)
{
    sqlite3_stmt *stmt = ready(tx, sql);
    int code;
    if (stmt == NULL)
        return false;
    do
        code = sqlite3_step(stmt);
    while (code == SQLITE_ROW);
    if (code != SQLITE_DONE)
        store_fail(tx, code, sql);
    else if (ret_changes != NULL)
        *ret_changes = sqlite3_changes64(tx->db);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return code == SQLITE_DONE;
}

bool store_query(struct store_tx *tx, const char *sql)
{
    end_query(tx);
    tx->query = ready(tx, sql);
    return tx->query != NULL;
}

bool store_next(struct store_tx *tx)
{
    if (tx->query == NULL || tx->error != SQLITE_OK)
        return false;
    int code = sqlite3_step(tx->query);
    tx->has_row = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        store_fail(tx, code, sqlite3_sql(tx->query));
    if (!tx->has_row)
        end_query(tx);
    return tx->has_row;
}

/* --- Rows --- */

static bool has_column(const struct store_tx *tx, unsigned column)
{
    return tx->has_row && (int)column < sqlite3_column_count(tx->query);
}

/* The size is to be asked for after the bytes, which may be converted. */
static cvn_slice bytes_of(struct store_tx *tx, const void *bytes, unsigned column)
{
    if (bytes != NULL)
        return (cvn_slice){bytes, (size_t)sqlite3_column_bytes(tx->query, (int)column)};
    /* NULL, an empty blob, or no memory to convert it. */
    if (sqlite3_errcode(tx->db) == SQLITE_NOMEM)
        store_fail(tx, SQLITE_NOMEM, "column");
    return (cvn_slice){"", 0};
}

cvn_slice store_text(struct store_tx *tx, unsigned column)
{
    if (!has_column(tx, column))
        return (cvn_slice){"", 0};
    return bytes_of(tx, sqlite3_column_text(tx->query, (int)column), column);
}

cvn_slice store_blob(struct store_tx *tx, unsigned column)
{
    if (!has_column(tx, column))
        return (cvn_slice){"", 0};
    return bytes_of(tx, sqlite3_column_blob(tx->query, (int)column), column);
}

int64_t store_integer(struct store_tx *tx, unsigned column)
{
    return has_column(tx, column) ? sqlite3_column_int64(tx->query, (int)column) : 0;
}

bool store_is_null(struct store_tx *tx, unsigned column)
{
    return !has_column(tx, column) || sqlite3_column_type(tx->query, (int)column) == SQLITE_NULL;
}
