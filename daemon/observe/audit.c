/*
 * Writing the trail. Entries wait in a bounded list, from any thread; one batch of them at a time is with the store, whose writer numbers and chains them in
 * the order of the list, starting at the last row that is there. So the chain needs no state of ours: it goes on after a restart, and a batch
 * that the store could not keep is put back and tried again with the next entry or sweep.
 *
 * Answers come on the store's thread, whoever asked, so that the trail is written to its end when the workers have ended already.
 *
 * When the list is full entries are lost; the next one that fits is preceded by "audit_lost" with their number.
 */
#include "observe/audit.h"
#include "observe/audit_anchor.h"
#include "observe/clock.h"
#include "observe/log.h"
#include "observe/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH            256   /* entries of one transaction */
#define ANCHOR_ENTRIES   1024  /* the file is at most so far behind */
#define ANCHOR_MS        10000 /* ... or so long, when there are entries */
#define LOG_HEAD_ENTRIES 10000 /* between two lines in the log with the head */

struct record {
    struct record *next;
    int64_t time_ms;
    cvn_slice fields[AUDIT_FIELDS];
    char text[];
};

struct audit {
    struct store *store;
    char *data_dir;
    pthread_mutex_t lock; /* over the following */
    struct record *first, *last;
    size_t waiting; /* those of the batch that is with the store included */
    uint64_t lost;  /* since the last entry that said so */
    uint64_t lost_total, written_total;
    struct audit_anchor head;
    bool is_writing; /* a batch is with the store */
    bool is_ended;   /* audit_free was called: whoever ends the last batch frees */
    /* The thread that has the batch only. */
    struct audit_anchor anchored;
    int64_t anchored_ms, logged_seq;
};

struct batch {
    struct audit *audit;
    struct record *first, *last;
    size_t count;
    bool wants_anchor;
    int64_t now_ms;
    struct audit_anchor head; /* after it */
};

/* --- Records --- */

/*
 * Copies a text so that it is UTF-8, whatever it was (an export has to show exactly what was hashed), and cut between characters. Returns its size, at
 * most AUDIT_MAX_TEXT.
 */
static size_t copy_text(char *ret, const char *text)
{
    size_t size = 0, left = strnlen(text, AUDIT_MAX_TEXT + 4);
    while (left > 0) {
        uint32_t code;
        size_t taken = text_decode(text, left, &code);
        const char *piece = taken > 0 ? text : "\xef\xbf\xbd";
        size_t piece_size = taken > 0 ? taken : 3;
        if (size + piece_size > AUDIT_MAX_TEXT)
            break;
        memcpy(ret + size, piece, piece_size);
        size += piece_size;
        taken = taken > 0 ? taken : 1;
        text += taken;
        left -= taken;
    }
    return size;
}

static struct record *record_new(const struct audit_entry *entry, int64_t time_ms)
{
    const char *const texts[AUDIT_FIELDS] = {
        [AUDIT_ACTION] = entry->action != NULL ? entry->action : "",
        [AUDIT_USER_ID] = entry->user_id,
        [AUDIT_SUBJECT] = entry->subject,
        [AUDIT_NSP] = entry->nsp,
        [AUDIT_ADDRESS] = entry->address,
        [AUDIT_CODE] = entry->code,
        [AUDIT_CORRELATION_ID] = entry->correlation_id,
    };
    char copies[AUDIT_FIELDS][AUDIT_MAX_TEXT];
    size_t sizes[AUDIT_FIELDS], total = 0;
    for (int i = 0; i < AUDIT_FIELDS; i++)
        total += sizes[i] = texts[i] != NULL ? copy_text(copies[i], texts[i]) : 0;
    struct record *record = malloc(sizeof *record + total + 1);
    if (record == NULL)
        return NULL;
    char *at = record->text;
    record->next = NULL;
    record->time_ms = time_ms;
    for (int i = 0; i < AUDIT_FIELDS; i++) {
        record->fields[i] = (cvn_slice){texts[i] != NULL ? at : NULL, sizes[i]};
        if (sizes[i] > 0)
            memcpy(at, copies[i], sizes[i]);
        at += sizes[i];
    }
    return record;
}

static void records_free(struct record *record)
{
    while (record != NULL) {
        struct record *next = record->next;
        free(record);
        record = next;
    }
}

/* --- On the store's thread: the transaction --- */

static bool insert_batch(struct store_tx *tx, void *data)
{
    struct batch *batch = data;
    struct audit_row row;
    if (!audit_row_head(tx, &batch->head.seq, batch->head.hash))
        return false;
    for (const struct record *record = batch->first; record != NULL; record = record->next) {
        row.seq = ++batch->head.seq;
        row.time_ms = record->time_ms;
        memcpy(row.fields, record->fields, sizeof row.fields);
        memcpy(row.prev_hash, batch->head.hash, AUDIT_HASH_SIZE);
        if (!audit_row_hash(&row, row.hash) || !audit_row_insert(tx, &row))
            return false;
        memcpy(batch->head.hash, row.hash, AUDIT_HASH_SIZE);
    }
    return true;
}

static void log_head(const struct audit_anchor *head)
{
    char hex[AUDIT_HEX_SIZE];
    const char *hash = hex;
    audit_hex(head->hash, hex);
    log_entry(LOG_INFO, "audit head", LOG_NUMBER("entry", head->seq), LOG_TEXT("hash", hash),
              LOG_END);
}

/* After the COMMIT: the head is as durable as it gets. */
static void anchor_head(struct audit *audit, const struct batch *batch)
{
    const struct audit_anchor *head = &batch->head;
    int64_t age_ms = batch->now_ms - audit->anchored_ms;
    if (memcmp(head, &audit->anchored, sizeof *head) == 0)
        return;
    if (!batch->wants_anchor && head->seq - audit->anchored.seq < ANCHOR_ENTRIES && age_ms >= 0 &&
        age_ms < ANCHOR_MS)
        return;
    audit->anchored_ms = batch->now_ms;
    if (audit_anchor_write(audit->data_dir, head))
        audit->anchored = *head;
    else
        log_entry(LOG_ERROR, "the head of the audit trail cannot be anchored",
                  LOG_TEXT("error", strerror(errno)), LOG_END);
    if (head->seq - audit->logged_seq >= LOG_HEAD_ENTRIES) {
        log_head(head);
        audit->logged_seq = head->seq;
    }
}

/* --- The list; with the lock held --- */

static void append(struct audit *audit, struct record *record)
{
    if (audit->first == NULL)
        audit->first = record;
    else
        audit->last->next = record;
    audit->last = record;
    audit->waiting++;
}

static void lose(struct audit *audit)
{
    audit->lost_total++;
    if (audit->lost++ == 0)
        log_entry(LOG_ERROR, "entries of the audit trail are lost: the store does not keep up",
                  LOG_NUMBER("waiting", audit->waiting), LOG_END);
}

/* Puts an entry about what was lost in its place; false while there is no room. */
static bool admit_losses(struct audit *audit, int64_t time_ms)
{
    char number[32];
    if (audit->lost == 0)
        return true;
    if (audit->waiting >= AUDIT_MAX_WAITING)
        return false;
    snprintf(number, sizeof number, "%llu", (unsigned long long)audit->lost);
    struct record *record =
        record_new(&(struct audit_entry){.action = "audit_lost", .subject = number}, time_ms);
    if (record == NULL)
        return false;
    append(audit, record);
    audit->lost = 0;
    return true;
}

static void on_batch_done(enum store_result result, void *data);

/* Hands the oldest to the store; when it takes none they wait on. */
static void hand_over(struct audit *audit, bool wants_anchor, int64_t time_ms)
{
    if (audit->is_writing || (audit->first == NULL && !wants_anchor))
        return;
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return;
    *batch = (struct batch){
        .audit = audit, .first = audit->first, .wants_anchor = wants_anchor, .now_ms = time_ms};
    for (struct record *record = audit->first; record != NULL && batch->count < BATCH;
         record = record->next) {
        batch->last = record;
        batch->count++;
    }
    struct record *rest = batch->last != NULL ? batch->last->next : NULL;
    if (batch->last != NULL)
        batch->last->next = NULL;
    if (store_write_aside(audit->store, insert_batch, on_batch_done, batch)) {
        audit->first = rest;
        audit->is_writing = true;
        return;
    }
    if (batch->last != NULL)
        batch->last->next = rest;
    free(batch);
}

static void put_back(struct audit *audit, struct batch *batch)
{
    if (batch->last == NULL)
        return;
    batch->last->next = audit->first;
    if (audit->first == NULL)
        audit->last = batch->last;
    audit->first = batch->first;
}

/* --- Ends --- */

static void destroy(struct audit *audit)
{
    if (audit->waiting > 0 || audit->lost > 0)
        log_entry(LOG_ERROR, "the audit trail ends without its last entries",
                  LOG_NUMBER("entries", audit->waiting + audit->lost), LOG_END);
    if (audit->head.seq > audit->logged_seq)
        log_head(&audit->head);
    records_free(audit->first);
    pthread_mutex_destroy(&audit->lock);
    free(audit->data_dir);
    free(audit);
}

/* On the store's thread. */
static void on_batch_done(enum store_result result, void *data)
{
    struct batch *batch = data;
    struct audit *audit = batch->audit;
    if (result == STORE_OK)
        anchor_head(audit, batch);
    pthread_mutex_lock(&audit->lock);
    audit->is_writing = false;
    if (result == STORE_OK) {
        audit->waiting -= batch->count;
        audit->written_total += batch->count;
        audit->head = batch->head;
        admit_losses(audit, batch->now_ms);
        /* The last batch of all brings the anchor up to date, an empty one if need be. */
        hand_over(audit, audit->is_ended && (audit->first != NULL || !batch->wants_anchor),
                  batch->now_ms);
    } else {
        put_back(audit, batch);
    }
    bool is_over = audit->is_ended && !audit->is_writing;
    pthread_mutex_unlock(&audit->lock);
    if (result == STORE_OK)
        records_free(batch->first);
    free(batch);
    if (is_over)
        destroy(audit);
}

void audit_free(struct audit *audit)
{
    if (audit == NULL)
        return;
    int64_t time_ms = clock_wall_ms();
    pthread_mutex_lock(&audit->lock);
    audit->is_ended = true;
    admit_losses(audit, time_ms);
    hand_over(audit, true, time_ms);
    bool is_over = !audit->is_writing;
    pthread_mutex_unlock(&audit->lock);
    if (is_over)
        destroy(audit);
}

/* --- Any thread --- */

void audit_write_at(struct audit *audit, const struct audit_entry *entry, int64_t time_ms)
{
    if (audit == NULL)
        return;
    struct record *record = record_new(entry, time_ms);
    pthread_mutex_lock(&audit->lock);
    if (record != NULL && admit_losses(audit, time_ms) && audit->waiting < AUDIT_MAX_WAITING) {
        append(audit, record);
        record = NULL;
        hand_over(audit, false, time_ms);
    } else {
        lose(audit);
        hand_over(audit, false, time_ms);
    }
    pthread_mutex_unlock(&audit->lock);
    free(record);
}

void audit_write(struct audit *audit, const struct audit_entry *entry)
{
    if (audit != NULL)
        audit_write_at(audit, entry, clock_wall_ms());
}

void audit_sweep(struct audit *audit)
{
    if (audit == NULL)
        return;
    int64_t time_ms = clock_wall_ms();
    pthread_mutex_lock(&audit->lock);
    admit_losses(audit, time_ms);
    hand_over(audit, true, time_ms);
    pthread_mutex_unlock(&audit->lock);
}

void audit_get_stats(struct audit *audit, struct audit_stats *ret)
{
    *ret = (struct audit_stats){0};
    if (audit == NULL)
        return;
    pthread_mutex_lock(&audit->lock);
    *ret = (struct audit_stats){.written_total = audit->written_total,
                                .lost_total = audit->lost_total,
                                .waiting = audit->waiting,
                                .head = audit->head.seq};
    pthread_mutex_unlock(&audit->lock);
}

/* --- The start --- */

struct look {
    const struct audit_anchor *anchor;
    struct audit_anchor head;
    bool has_anchored; /* the anchored entry is there, and is that one */
};

static bool look_at_head(struct store_tx *tx, void *data)
{
    struct look *look = data;
    if (!audit_row_head(tx, &look->head.seq, look->head.hash))
        return false;
    store_bind_integer(tx, 1, look->anchor->seq);
    if (!store_query(tx, "SELECT hash FROM audit WHERE seq=?1"))
        return false;
    if (store_next(tx)) {
        cvn_slice hash = store_blob(tx, 0);
        look->has_anchored = hash.size == AUDIT_HASH_SIZE &&
                             memcmp(hash.data, look->anchor->hash, AUDIT_HASH_SIZE) == 0;
    }
    return !store_has_failed(tx);
}

/* A trail that lacks what was anchored goes on, but says so in an entry of its own, since the anchor will move. */
static void note_cut(struct audit *audit, const struct audit_anchor *anchor)
{
    char buffer[AUDIT_HEX_SIZE + 32], hex[AUDIT_HEX_SIZE];
    const char *text = buffer;
    audit_hex(anchor->hash, hex);
    snprintf(buffer, sizeof buffer, "%lld:%s", (long long)anchor->seq, hex);
    log_entry(LOG_ERROR,
              "the audit trail lacks its anchored entry: its end was cut off or replaced",
              LOG_TEXT("anchor", text), LOG_NUMBER("head", audit->head.seq), LOG_END);
    audit_write(audit, &(struct audit_entry){.action = "audit_cut", .subject = text});
}

static bool start(struct audit *audit)
{
    struct audit_anchor anchor = {.seq = 0};
    struct look look = {.anchor = &anchor};
    if (!store_migrate(audit->store, audit_migrations, audit_migration_count))
        return false;
    enum audit_anchor_result found = audit_anchor_read(audit->data_dir, &anchor);
    if (store_run(audit->store, look_at_head, &look) != STORE_OK)
        return false;
    audit->head = look.head;
    audit->logged_seq = look.head.seq;
    if (found == AUDIT_ANCHOR_READ)
        audit->anchored = anchor;
    else if (found == AUDIT_ANCHOR_UNREADABLE || look.head.seq > 0)
        log_entry(LOG_WARN, "the anchor of the audit trail, " AUDIT_ANCHOR_FILE ", cannot be read",
                  LOG_END);
    if (anchor.seq > 0 && !look.has_anchored)
        note_cut(audit, &anchor);
    return true;
}

struct audit *audit_new(struct store *store, const char *data_dir)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL)
        return NULL;
    audit->store = store;
    audit->data_dir = strdup(data_dir);
    if (audit->data_dir == NULL || pthread_mutex_init(&audit->lock, NULL) != 0) {
        free(audit->data_dir);
        free(audit);
        return NULL;
    }
    if (start(audit))
        return audit;
    destroy(audit);
    return NULL;
}
