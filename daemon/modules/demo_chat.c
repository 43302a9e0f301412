/*
 * A chat room: who is here, who is typing, what was said lately. Everybody may enter; nothing is kept beyond the process.
 *
 *   client → server  enter {name}         ack {ok, id, people, version, messages} or {ok:false, error}
 *                    message {text}       ack {ok}
 *                    typing {isTyping}
 *   server → client  people {version, people:[{id, name}]}   the newer version wins: lists may overtake each other between workers
 *                    message {id, name, text, time}
 *                    typing {id, name, isTyping}
 *
 * The handlers run on the workers; what they share is behind one lock, held for moments.
 */
#include "modules/demo_chat.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROOM        "everybody"
#define MAX_PEOPLE  1000
#define MAX_NAME    64   /* bytes */
#define MAX_TEXT    4000 /* bytes */
#define KEPT        50   /* messages shown to whoever enters */
#define MAX_MESSAGE (MAX_TEXT * 6 + 1024)
#define MAX_JSON    (512 * 1024)

struct person {
    char id[24];
    char name[MAX_NAME + 1];
};

struct demo_chat {
    pthread_mutex_t lock;
    struct person people[MAX_PEOPLE];
    size_t people_count;
    uint64_t version;
    char *messages[KEPT]; /* JSON objects, a ring */
    size_t message_count, next_message;
};

static void refuse(const cvn_event *event, const char *why)
{
    char json[160];
    snprintf(json, sizeof json, "{\"ok\":false,\"error\":\"%s\"}", why);
    cvn_ack(event, json);
}

/* --- People: with the lock held --- */

static struct person *find(struct demo_chat *chat, const char *id)
{
    for (size_t i = 0; i < chat->people_count; i++)
        if (strcmp(chat->people[i].id, id) == 0)
            return &chat->people[i];
    return NULL;
}

static void append_people(const struct demo_chat *chat, cvn_text *text)
{
    cvn_text_printf(text, "\"version\":%llu,\"people\":[", (unsigned long long)chat->version);
    for (size_t i = 0; i < chat->people_count; i++) {
        cvn_text_printf(text, "%s{\"id\":\"%s\",\"name\":", i > 0 ? "," : "", chat->people[i].id);
        cvn_text_append_json_string(text, cvn_str(chat->people[i].name));
        cvn_text_append(text, "}");
    }
    cvn_text_append(text, "]");
}

static void append_messages(const struct demo_chat *chat, cvn_text *text)
{
    cvn_text_append(text, "\"messages\":[");
    for (size_t i = 0; i < chat->message_count; i++) {
        size_t index = (chat->next_message + KEPT - chat->message_count + i) % KEPT;
        cvn_text_append(text, i > 0 ? "," : "");
        cvn_text_append(text, chat->messages[index]);
    }
    cvn_text_append(text, "]");
}

static void keep_message(struct demo_chat *chat, cvn_slice json)
{
    char *copy = malloc(json.size + 1);
    if (copy == NULL)
        return; /* a newcomer will not see it; those who are here have it */
    memcpy(copy, json.data, json.size);
    copy[json.size] = '\0';
    free(chat->messages[chat->next_message]);
    chat->messages[chat->next_message] = copy;
    chat->next_message = (chat->next_message + 1) % KEPT;
    if (chat->message_count < KEPT)
        chat->message_count++;
}

/* --- Without it --- */

static void tell_people(struct demo_chat *chat, cvn_namespace *nsp)
{
    cvn_text *text = cvn_text_new(MAX_JSON);
    if (text == NULL)
        return;
    cvn_text_append(text, "{");
    pthread_mutex_lock(&chat->lock);
    append_people(chat, text);
    pthread_mutex_unlock(&chat->lock);
    cvn_text_append(text, "}");
    if (!cvn_text_failed(text))
        cvn_emit(&(cvn_target){.nsp = nsp, .rooms = {ROOM}}, "people",
                 cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

/* The sender's name; false when it has not entered. */
static bool name_of(struct demo_chat *chat, cvn_socket *socket, char ret[MAX_NAME + 1])
{
    pthread_mutex_lock(&chat->lock);
    const struct person *person = find(chat, cvn_socket_id(socket));
    if (person != NULL)
        memcpy(ret, person->name, MAX_NAME + 1);
    pthread_mutex_unlock(&chat->lock);
    return person != NULL;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static const char *add_person(struct demo_chat *chat, cvn_socket *socket, const char *name)
{
    if (find(chat, cvn_socket_id(socket)) != NULL)
        return "you are in already";
    if (chat->people_count == MAX_PEOPLE)
        return "the room is full";
    if (cvn_join(socket, ROOM) != CVN_OK)
        return "the room cannot be entered now";
    struct person *person = &chat->people[chat->people_count++];
    snprintf(person->id, sizeof person->id, "%s", cvn_socket_id(socket));
    snprintf(person->name, sizeof person->name, "%s", name);
    chat->version++;
    return NULL;
}

static void on_enter(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct demo_chat *chat = data;
    char name[MAX_NAME + 1];
    if (!cvn_json_string(cvn_json_get(cvn_event_arg(event, 0), "name"), name, sizeof name) ||
        is_blank(name)) {
        refuse(event, "a name of 1 to 64 bytes is needed");
        return;
    }
    cvn_text *text = cvn_text_new(MAX_JSON);
    if (text == NULL) {
        refuse(event, "out of memory");
        return;
    }
    cvn_text_printf(text, "{\"ok\":true,\"id\":\"%s\",", cvn_socket_id(socket));
    pthread_mutex_lock(&chat->lock);
    const char *refusal = add_person(chat, socket, name);
    append_people(chat, text);
    cvn_text_append(text, ",");
    append_messages(chat, text);
    pthread_mutex_unlock(&chat->lock);
    cvn_text_append(text, "}");
    if (refusal != NULL) {
        refuse(event, refusal);
    } else {
        cvn_ack_args(event, cvn_json_slice(cvn_text_slice(text)));
        tell_people(chat, cvn_socket_namespace(socket));
    }
    cvn_text_free(text);
}

static void on_message(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct demo_chat *chat = data;
    char name[MAX_NAME + 1], said[MAX_TEXT + 1];
    if (!name_of(chat, socket, name)) {
        refuse(event, "enter first");
        return;
    }
    if (!cvn_json_string(cvn_json_get(cvn_event_arg(event, 0), "text"), said, sizeof said) ||
        is_blank(said)) {
        refuse(event, "a text of 1 to 4000 bytes is needed");
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    cvn_text *text = cvn_text_new(MAX_MESSAGE);
    if (text == NULL) {
        refuse(event, "out of memory");
        return;
    }
    cvn_text_printf(text, "{\"id\":\"%s\",\"name\":", cvn_socket_id(socket));
    cvn_text_append_json_string(text, cvn_str(name));
    cvn_text_append(text, ",\"text\":");
    cvn_text_append_json_string(text, cvn_str(said));
    cvn_text_printf(text, ",\"time\":%lld}",
                    (long long)now.tv_sec * 1000 + (long long)now.tv_nsec / 1000000);
    pthread_mutex_lock(&chat->lock);
    keep_message(chat, cvn_text_slice(text));
    pthread_mutex_unlock(&chat->lock);
    cvn_emit(&(cvn_target){.nsp = cvn_socket_namespace(socket), .rooms = {ROOM}}, "message",
             cvn_json_slice(cvn_text_slice(text)));
    cvn_ack(event, "{\"ok\":true}");
    cvn_text_free(text);
}

static void on_typing(cvn_socket *socket, const cvn_event *event, void *data)
{
    char name[MAX_NAME + 1];
    if (!name_of(data, socket, name))
        return;
    bool typing =
        cvn_json_type_of(cvn_json_get(cvn_event_arg(event, 0), "isTyping")) == CVN_JSON_TRUE;
    cvn_text *text = cvn_text_new(4096);
    if (text == NULL)
        return;
    cvn_text_printf(text, "{\"id\":\"%s\",\"isTyping\":%s,\"name\":", cvn_socket_id(socket),
                    typing ? "true" : "false");
    cvn_text_append_json_string(text, cvn_str(name));
    cvn_text_append(text, "}");
    cvn_target others = {.nsp = cvn_socket_namespace(socket),
                         .rooms = {ROOM},
                         .except = {cvn_socket_id(socket)},
                         .flags = CVN_VOLATILE};
    cvn_emit(&others, "typing", cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    struct demo_chat *chat = data;
    (void)reason;
    pthread_mutex_lock(&chat->lock);
    struct person *person = find(chat, cvn_socket_id(socket));
    if (person != NULL) {
        *person = chat->people[--chat->people_count];
        chat->version++;
    }
    pthread_mutex_unlock(&chat->lock);
    if (person != NULL)
        tell_people(chat, cvn_socket_namespace(socket));
}

struct demo_chat *demo_chat_new(cvn_server *server)
{
    struct demo_chat *chat = calloc(1, sizeof *chat);
    cvn_namespace *nsp = cvn_of(server, "/demo");
    if (chat == NULL)
        return NULL;
    pthread_mutex_init(&chat->lock, NULL);
    cvn_on(nsp, "enter", on_enter, chat);
    cvn_on(nsp, "message", on_message, chat);
    cvn_on(nsp, "typing", on_typing, chat);
    cvn_on_disconnect(nsp, on_disconnect, chat);
    return chat;
}

void demo_chat_free(struct demo_chat *chat)
{
    if (chat == NULL)
        return;
    for (size_t i = 0; i < KEPT; i++)
        free(chat->messages[i]);
    pthread_mutex_destroy(&chat->lock);
    free(chat);
}
