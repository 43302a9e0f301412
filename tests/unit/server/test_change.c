/* What changes while a server runs: origins, how many may connect, certificates; for what comes, not for what is there. */
#include <pthread.h>
#include <stdatomic.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "base/mem.h"
#include "client.h"

#define WORKERS 2
#define POLLING "/socket.io/?EIO=4&transport=polling"
#define WS      "/socket.io/?EIO=4&transport=websocket"
#define A       "https://a.example"
#define B       "https://b.example"

static const char *const only_a[] = {A, NULL}, *const only_b[] = {B, NULL};

static void on_arrived(void *data)
{
    (void)data;
    note("there");
}

/* Until what was changed before has come to all workers. */
static void settle(cvn_server *server)
{
    for (unsigned i = 0; i < cvn_server_workers(server); i++) {
        assert_int_equal(cvn_post(server, i, on_arrived, NULL), CVN_OK);
        assert_note("there");
    }
}

static int status_for(uint16_t port, const char *origin, bool websocket)
{
    char fields[512];
    struct client *client = client_new(port);
    snprintf(fields, sizeof fields, "%sOrigin: %s\r\n", websocket ? WS_FIELDS : "", origin);
    http_send(client, "GET", websocket ? WS : POLLING, fields, NULL);
    int status = http_receive(client, !websocket)->status;
    client_free(client);
    return status;
}

/* Often enough to meet each worker. */
static void assert_origins(uint16_t port, bool a, bool b)
{
    for (int i = 0; i < 8; i++) {
        assert_int_equal(status_for(port, A, false), a ? 200 : 403);
        assert_int_equal(status_for(port, B, false), b ? 200 : 403);
        assert_int_equal(status_for(port, A, true), a ? 101 : 403);
        assert_int_equal(status_for(port, B, true), b ? 101 : 403);
    }
}

static void test_origins(void **state)
{
    (void)state;
    notes_open();
    cvn_server *server = cvn_server_new(&(cvn_options){
        .host = "127.0.0.1", .workers = WORKERS, .hide_client = true, .origins = only_b});
    assert_int_equal(cvn_server_set_origins(server, only_a), CVN_OK); /* before the start */
    uint16_t port = server_start(server);
    assert_origins(port, true, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cvn_server_set_origins(server, only_b), CVN_OK);
        settle(server);
        assert_origins(port, false, true);
        assert_int_equal(cvn_server_set_origins(server, only_a), CVN_OK);
        settle(server);
        assert_origins(port, true, false);
    }

    const char *many[1026];
    for (int i = 0; i < 1025; i++)
        many[i] = B;
    many[1025] = NULL;
    assert_int_equal(cvn_server_set_origins(server, many), CVN_ERR_LIMIT);
    for (uint64_t i = 0; i < 3; i++) { /* the list, its text, the change */
        mem_fail_after(i, 1);
        assert_int_equal(cvn_server_set_origins(server, only_b), CVN_ERR_MEMORY);
        mem_fail_after(0, 0);
    }
    settle(server);
    assert_origins(port, true, false);
    many[1024] = NULL;
    assert_int_equal(cvn_server_set_origins(server, many), CVN_OK);
    settle(server);
    assert_origins(port, false, true);
    assert_int_equal(cvn_server_set_origins(server, NULL), CVN_OK);
    settle(server);
    assert_origins(port, false, false);

    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_int_equal(cvn_server_set_origins(server, only_a), CVN_ERR_STATE);
    assert_int_equal(cvn_server_set_origins(NULL, only_a), CVN_ERR_ARGUMENT);
    cvn_server_free(server);
    notes_close();
}

struct changer {
    pthread_t thread;
    cvn_server *server;
    const char *const *origins;
};

static void *change_often(void *data)
{
    struct changer *changer = data;
    for (int i = 0; i < 200; i++)
        assert_int_equal(cvn_server_set_origins(changer->server, changer->origins), CVN_OK);
    return NULL;
}

/* Two threads that do not agree: the workers do in the end, and requests meanwhile get one list or the other. */
static void test_origins_from_threads(void **state)
{
    (void)state;
    notes_open();
    cvn_server *server = server_new(WORKERS);
    uint16_t port = server_start(server);
    struct changer changers[2] = {{.server = server, .origins = only_a},
                                  {.server = server, .origins = only_b}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&changers[i].thread, NULL, change_often, &changers[i]), 0);
    for (int i = 0; i < 50; i++) {
        int status = status_for(port, A, i % 2 == 0);
        assert_true(status == 200 || status == 101 || status == 403);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(changers[i].thread, NULL);
    settle(server);
    bool is_a = status_for(port, A, false) == 200;
    assert_origins(port, is_a, !is_a);
    cvn_server_free(server);
    notes_close();
}

/* Changes on their way to workers that end are not lost memory. */
static void test_change_and_free(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        cvn_server *server = server_new(WORKERS);
        server_start(server);
        assert_int_equal(cvn_server_set_origins(server, only_a), CVN_OK);
        cvn_server_stop(server);
        enum cvn_error error = cvn_server_set_origins(server, only_b);
        assert_true(error == CVN_OK || error == CVN_ERR_STATE);
        cvn_server_free(server);
    }
}

static void test_max_connections(void **state)
{
    (void)state;
    notes_open();
    cvn_server *server = server_new(1);
    assert_int_equal(cvn_server_set_max_connections(server, 1), CVN_OK);
    uint16_t port = server_start(server);
    struct client *clients[3] = {joined(port)};
    struct client *refused = client_new(port);
    assert_int_equal(http_exchange(refused, "GET", POLLING, "", NULL)->status, 503);
    client_free(refused);
    assert_int_equal(cvn_server_set_max_connections(server, 3), CVN_OK);
    settle(server);
    clients[1] = joined(port);
    assert_int_equal(cvn_server_set_max_connections(server, 1), CVN_OK);
    settle(server);
    assert_ws_silent(clients[1]); /* stays */
    refused = client_new(port);
    assert_int_equal(http_exchange(refused, "GET", POLLING, "", NULL)->status, 503);
    client_free(refused);
    assert_int_equal(cvn_server_set_max_connections(server, 0), CVN_OK);
    settle(server);
    clients[2] = joined(port);
    mem_fail_after(0, 1);
    assert_int_equal(cvn_server_set_max_connections(server, 1), CVN_ERR_MEMORY);
    mem_fail_after(0, 0);
    for (int i = 0; i < 3; i++)
        client_free(clients[i]);
    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_int_equal(cvn_server_set_max_connections(server, 1), CVN_ERR_STATE);
    assert_int_equal(cvn_server_set_max_connections(NULL, 1), CVN_ERR_ARGUMENT);
    cvn_server_free(server);
    notes_close();
}

/* --- Certificates --- */

static char folder[] = "/tmp/convene-test-change-XXXXXX";
static char cert_file[64], key_file[64];

static FILE *open_new(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    return file;
}

/* A key and a certificate with this serial number. */
static void write_pair(long serial)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *file = open_new(key_file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    file = open_new(cert_file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

struct tls_client {
    struct client *tcp;
    SSL *ssl;
};

static struct tls_client tls_open(SSL_CTX *context, uint16_t port)
{
    struct tls_client client = {client_new(port), SSL_new(context)};
    SSL_set_fd(client.ssl, client.tcp->fd);
    assert_int_equal(SSL_connect(client.ssl), 1);
    return client;
}

static void tls_close(struct tls_client *client)
{
    SSL_free(client->ssl);
    client_free(client->tcp);
}

static long serial_of(const struct tls_client *client)
{
    X509 *cert = SSL_get1_peer_certificate(client->ssl);
    long serial = ASN1_INTEGER_get(X509_get_serialNumber(cert));
    X509_free(cert);
    return serial;
}

/* One request; the server answers and keeps the connection. */
static void assert_speaks(const struct tls_client *client)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[1024];
    int size = 0;
    assert_int_equal(SSL_write(client->ssl, request, sizeof request - 1), sizeof request - 1);
    do {
        int got = SSL_read(client->ssl, answer + size, (int)sizeof answer - 1 - size);
        assert_true(got > 0);
        size += got;
        answer[size] = '\0';
    } while (strstr(answer, "Not Found\n") == NULL);
}

static void assert_serial(SSL_CTX *context, uint16_t port, long serial)
{
    for (int i = 0; i < 8; i++) {
        struct tls_client client = tls_open(context, port);
        assert_int_equal(serial_of(&client), serial);
        assert_speaks(&client);
        tls_close(&client);
    }
}

static void test_tls(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    write_pair(1);
    notes_open();
    cvn_server *server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                                       .workers = WORKERS,
                                                       .hide_client = true,
                                                       .tls_cert_file = cert_file,
                                                       .tls_key_file = key_file});
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_STATE); /* not yet */
    uint16_t port = server_start(server);
    struct tls_client old = tls_open(context, port);
    assert_int_equal(serial_of(&old), 1);

    write_pair(2);
    assert_serial(context, port, 1);
    for (long serial = 2; serial < 5; serial++) {
        write_pair(serial);
        assert_int_equal(cvn_server_reload_tls(server), CVN_OK);
        settle(server);
        assert_serial(context, port, serial);
        assert_speaks(&old);
    }

    FILE *file = open_new(cert_file);
    fputs("-----BEGIN CERTIFICATE-----\nnothing of the kind\n", file);
    fclose(file);
    assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_TLS);
    unlink(cert_file);
    assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_TLS);
    write_pair(6);
    char aside[80];
    snprintf(aside, sizeof aside, "%s/aside.pem", folder);
    assert_int_equal(rename(cert_file, aside), 0);
    write_pair(7); /* a key for 7 and a certificate for 6 */
    assert_int_equal(rename(aside, cert_file), 0);
    assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_TLS);
    for (uint64_t i = 0; i < 2; i++) { /* the change, the context */
        mem_fail_after(i, 1);
        assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_MEMORY);
        mem_fail_after(0, 0);
    }
    settle(server);
    assert_serial(context, port, 4);
    assert_speaks(&old);

    cvn_server_stop(server);
    tls_close(&old);
    cvn_server_wait(server);
    assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_STATE);
    assert_int_equal(cvn_server_reload_tls(NULL), CVN_ERR_ARGUMENT);
    cvn_server_free(server);
    SSL_CTX_free(context);
    unlink(cert_file);
    unlink(key_file);
    rmdir(folder);
    notes_close();
}

static void test_no_tls(void **state)
{
    (void)state;
    cvn_server *server = server_new(1);
    server_start(server);
    assert_int_equal(cvn_server_reload_tls(server), CVN_ERR_STATE);
    cvn_server_free(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_origins_from_threads),
        cmocka_unit_test(test_change_and_free),
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_no_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
