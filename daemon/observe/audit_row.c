/*
 * The trail's table, and the canonical form of an entry that its hash is taken over (docs/audit.md): anybody can compute it again from the row or from
 * an export. Whatever thread the transaction runs on.
 */
#include "observe/audit_row.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>

/* The triggers keep mistakes away; whoever can write to the file can drop them, and then the chain tells. */
const struct store_migration audit_migrations[] = {
    {"audit", 1,
     "CREATE TABLE audit (seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, action TEXT NOT NULL,"
     " user_id TEXT, subject TEXT, nsp TEXT, address TEXT, code TEXT, correlation_id TEXT,"
     " prev_hash BLOB NOT NULL, hash BLOB NOT NULL) STRICT;"
     "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
     " BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;"
     "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
     " BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"},
};
const size_t audit_migration_count = sizeof audit_migrations / sizeof *audit_migrations;

const char *const audit_field_names[AUDIT_FIELDS] = {"action",  "user_id", "subject",       "nsp",
                                                     "address", "code",    "correlation_id"};

static void put_u64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> (56 - 8 * i));
}

/* 00 for an absent field; else 01, the size in 4 bytes, the bytes. */
static bool hash_field(EVP_MD_CTX *context, cvn_slice field)
{
    unsigned char head[5] = {field.data != NULL};
    for (int i = 0; i < 4; i++)
        head[1 + i] = (unsigned char)(field.size >> (24 - 8 * i));
    if (field.data == NULL)
        return EVP_DigestUpdate(context, head, 1) == 1;
    return EVP_DigestUpdate(context, head, sizeof head) == 1 &&
           EVP_DigestUpdate(context, field.data, field.size) == 1;
}

bool audit_row_hash(const struct audit_row *row, unsigned char ret[AUDIT_HASH_SIZE])
{
    static const char domain[] = "convene-audit-1"; /* with its NUL */
    unsigned char numbers[16];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    put_u64(numbers, (uint64_t)row->seq);
    put_u64(numbers + 8, (uint64_t)row->time_ms);
    bool is_good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(context, domain, sizeof domain) == 1 &&
                   EVP_DigestUpdate(context, row->prev_hash, AUDIT_HASH_SIZE) == 1 &&
                   EVP_DigestUpdate(context, numbers, sizeof numbers) == 1;
    for (int i = 0; i < AUDIT_FIELDS && is_good; i++)
        is_good = hash_field(context, row->fields[i]);
    is_good = is_good && EVP_DigestFinal_ex(context, ret, NULL) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

bool audit_row_insert(struct store_tx *tx, const struct audit_row *row)
{
    store_bind_integer(tx, 1, row->seq);
    store_bind_integer(tx, 2, row->time_ms);
    for (unsigned i = 0; i < AUDIT_FIELDS; i++) {
        if (row->fields[i].data != NULL)
            store_bind_text(tx, 3 + i, row->fields[i]);
        else
            store_bind_null(tx, 3 + i);
    }
    store_bind_blob(tx, 10, (cvn_slice){(const char *)row->prev_hash, AUDIT_HASH_SIZE});
    store_bind_blob(tx, 11, (cvn_slice){(const char *)row->hash, AUDIT_HASH_SIZE});
    return store_exec(tx,
                      "INSERT INTO audit (seq, time_ms, action, user_id, subject, nsp, address,"
                      " code, correlation_id, prev_hash, hash)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                      NULL);
}

bool audit_row_walk(struct store_tx *tx)
{
    return store_query(tx, "SELECT seq, time_ms, action, user_id, subject, nsp, address, code,"
                           " correlation_id, prev_hash, hash FROM audit ORDER BY seq");
}

static void read_hash(struct store_tx *tx, unsigned column, unsigned char ret[AUDIT_HASH_SIZE])
{
    cvn_slice blob = store_blob(tx, column);
    memset(ret, 0, AUDIT_HASH_SIZE);
    if (blob.size == AUDIT_HASH_SIZE)
        memcpy(ret, blob.data, AUDIT_HASH_SIZE);
}

bool audit_row_next(struct store_tx *tx, struct audit_row *row)
{
    if (!store_next(tx))
        return false;
    row->seq = store_integer(tx, 0);
    row->time_ms = store_integer(tx, 1);
    for (unsigned i = 0; i < AUDIT_FIELDS; i++)
        row->fields[i] = store_is_null(tx, 2 + i) ? (cvn_slice){NULL, 0} : store_text(tx, 2 + i);
    read_hash(tx, 9, row->prev_hash);
    read_hash(tx, 10, row->hash);
    return true;
}

bool audit_row_head(struct store_tx *tx, int64_t *ret_seq, unsigned char ret_hash[AUDIT_HASH_SIZE])
{
    if (!store_query(tx, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"))
        return false;
    if (!store_next(tx)) {
        if (store_has_failed(tx))
            return false;
        *ret_seq = 0;
        memset(ret_hash, 0, AUDIT_HASH_SIZE);
        return true;
    }
    *ret_seq = store_integer(tx, 0);
    read_hash(tx, 1, ret_hash);
    return true;
}

void audit_hex(const unsigned char hash[AUDIT_HASH_SIZE], char ret[AUDIT_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < AUDIT_HASH_SIZE; i++) {
        ret[2 * i] = digits[hash[i] >> 4];
        ret[2 * i + 1] = digits[hash[i] & 15];
    }
    ret[AUDIT_HEX_SIZE - 1] = '\0';
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool audit_hex_parse(cvn_slice hex, unsigned char ret[AUDIT_HASH_SIZE])
{
    unsigned char hash[AUDIT_HASH_SIZE];
    if (hex.size != AUDIT_HEX_SIZE - 1)
        return false;
    for (size_t i = 0; i < AUDIT_HASH_SIZE; i++) {
        int high = digit_of(hex.data[2 * i]), low = digit_of(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(ret, hash, sizeof hash);
    return true;
}

void audit_time(int64_t time_ms, char ret[AUDIT_TIME_SIZE])
{
    struct tm tm;
    int64_t ms = time_ms % 1000;
    time_t seconds = (time_t)(time_ms / 1000);
    if (ms < 0) { /* before 1970, in a row that somebody has changed */
        ms += 1000;
        seconds--;
    }
    size_t size = 0;
    if (gmtime_r(&seconds, &tm) != NULL)
        size = strftime(ret, AUDIT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    if (size == 0 || size + sizeof ".000Z" > AUDIT_TIME_SIZE)
        snprintf(ret, AUDIT_TIME_SIZE, "%lld ms", (long long)time_ms);
    else
        snprintf(ret + size, AUDIT_TIME_SIZE - size, ".%03dZ", (int)ms);
}
