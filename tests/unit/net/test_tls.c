/* TLS under a connection, spoken with by an OpenSSL client on the other end of a socket pair; and files that are none. */
#include <signal.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "net/tls.h"
#include "rig.h"

static char folder[] = "/tmp/convene-test-tls-XXXXXX";
static char cert_file[64], key_file[64], other_key_file[64], garbage_file[64];

static EVP_PKEY *write_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(path, "w");
    assert_non_null(key);
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    return key;
}

static void write_certificate(const char *path, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    FILE *file = fopen(path, "w");
    assert_non_null(cert);
    assert_non_null(file);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    fclose(file);
    X509_free(cert);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    snprintf(other_key_file, sizeof other_key_file, "%s/other.pem", folder);
    snprintf(garbage_file, sizeof garbage_file, "%s/garbage.pem", folder);
    EVP_PKEY *key = write_key(key_file);
    write_certificate(cert_file, key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(write_key(other_key_file));
    FILE *file = fopen(garbage_file, "w");
    assert_non_null(file);
    fputs("-----BEGIN CERTIFICATE-----\nnothing of the kind\n", file);
    fclose(file);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(cert_file);
    unlink(key_file);
    unlink(other_key_file);
    unlink(garbage_file);
    rmdir(folder);
    return 0;
}

/* --- A client on the other end --- */

struct peer {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static void peer_open(struct peer *peer, int fd)
{
    peer->fd = fd;
    peer->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(peer->context);
    peer->ssl = SSL_new(peer->context);
    assert_non_null(peer->ssl);
    SSL_set_fd(peer->ssl, fd);
    SSL_set_connect_state(peer->ssl);
}

static void peer_close(struct peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    close(peer->fd);
}

static void ear_open_tls(struct rig *rig, struct ear *ear, struct tls_context *context,
                         int *ret_peer)
{
    int ends[2];
    make_pair(SOCK_STREAM, ends);
    *ear = (struct ear){0};
    ear->conn = conn_adopt(&rig->worker, ends[0], &wide_limits, context);
    assert_non_null(ear->conn);
    assert_true(conn_is_secure(ear->conn));
    conn_set_owner(ear->conn, &ear_events, ear);
    *ret_peer = ends[1];
}

static struct tls_context *context_of_test(void)
{
    struct tls_context *context = NULL;
    assert_int_equal(tls_context_new(cert_file, key_file, &context), CVN_OK);
    return context;
}

static void echo(struct ear *ear, const char *data, size_t size)
{
    conn_write(ear->conn, slice_of(data, size));
}

/* Much in both directions at once, with pieces of every size: whatever blocks, nothing is lost. */
static void exchange(int version)
{
    enum { TOTAL = 3 << 20 };
    struct tls_context *context = context_of_test();
    struct rig rig;
    struct ear ear;
    struct peer peer;
    int fd;
    char *sent = malloc(TOTAL), *got = malloc(TOTAL);
    size_t written = 0, received = 0;
    for (size_t i = 0; i < TOTAL; i++)
        sent[i] = (char)(i * 31 + i / 251);
    rig_start(&rig);
    ear_open_tls(&rig, &ear, context, &fd);
    ear.also_on_data = echo;
    peer_open(&peer, fd);
    SSL_set_min_proto_version(peer.ssl, version);
    SSL_set_max_proto_version(peer.ssl, version);
    SSL_set_mode(peer.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    for (uint32_t round = 0; received < TOTAL; round++) {
        size_t done = 0, piece = 1 + round * 7919 % 40000;
        if (written < TOTAL &&
            SSL_write_ex(peer.ssl, sent + written,
                         piece < TOTAL - written ? piece : TOTAL - written, &done) == 1)
            written += done;
        if (round % 3 == 0 && SSL_read_ex(peer.ssl, got + received, TOTAL - received, &done) == 1)
            received += done;
        ERR_clear_error();
        rig_turns(&rig, 1);
        assert_non_null(ear.conn);
    }
    assert_memory_equal(sent, got, TOTAL);
    assert_int_equal(SSL_version(peer.ssl), version);
    SSL_shutdown(peer.ssl);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_PEER_CLOSED);
    peer_close(&peer);
    rig_end(&rig);
    tls_context_unref(context);
    ear_free(&ear);
    free(sent);
    free(got);
}

static void test_tls_1_2(void **state)
{
    (void)state;
    exchange(TLS1_2_VERSION);
}

static void test_tls_1_3(void **state)
{
    (void)state;
    exchange(TLS1_3_VERSION);
}

/* What TLS has encrypted must come again as it was, however much newer messages would like to take its place. */
static void conflate(int version)
{
    enum { ROUNDS = 6000 };
    static char got[30000];
    struct numbered numbered = {.size = 0};
    struct tls_context *context = context_of_test();
    struct rig rig;
    struct ear ear;
    struct peer peer;
    int fd, buffer = 4096;
    size_t done;
    rig_start(&rig);
    ear_open_tls(&rig, &ear, context, &fd);
    setsockopt(ear.conn->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer); /* so that it blocks */
    peer_open(&peer, fd);
    SSL_set_min_proto_version(peer.ssl, version);
    SSL_set_max_proto_version(peer.ssl, version);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        assert_true(numbered_send(ear.conn, 1 + i % NUMBERED_KEYS, i));
        if (i % 20 == 0)
            assert_true(numbered_send(ear.conn, 0, i / 20));
        if (i % 7 == 0)
            rig_turns(&rig, 1);
        if (i % 10 == 0 && SSL_read_ex(peer.ssl, got, 1777, &done) == 1)
            numbered_receive(&numbered, got, done);
        ERR_clear_error();
        assert_non_null(ear.conn);
    }
    while (numbered.last[0] < ROUNDS / 20) {
        rig_turns(&rig, 1);
        if (SSL_read_ex(peer.ssl, got, sizeof got, &done) == 1)
            numbered_receive(&numbered, got, done);
        ERR_clear_error();
        assert_non_null(ear.conn);
    }
    for (uint64_t key = 1; key <= NUMBERED_KEYS; key++)
        assert_true(numbered.last[key] > ROUNDS - NUMBERED_KEYS);
    assert_true(numbered.received < ROUNDS);
    SSL_shutdown(peer.ssl);
    UNTIL(&rig, ear.conn == NULL);
    peer_close(&peer);
    rig_end(&rig);
    tls_context_unref(context);
    ear_free(&ear);
}

static void test_conflate_tls_1_2(void **state)
{
    (void)state;
    conflate(TLS1_2_VERSION);
}

static void test_conflate_tls_1_3(void **state)
{
    (void)state;
    conflate(TLS1_3_VERSION);
}

static void test_finish_sends_all_and_says_goodbye(void **state)
{
    struct tls_context *context = context_of_test();
    struct rig rig;
    struct ear ear;
    struct peer peer;
    int fd;
    char got[64];
    size_t size = 0;
    (void)state;
    rig_start(&rig);
    ear_open_tls(&rig, &ear, context, &fd);
    peer_open(&peer, fd);
    assert_true(conn_write(ear.conn, SLICE("last words"))); /* before the handshake */
    conn_finish(ear.conn, 5000);
    while (SSL_read_ex(peer.ssl, got, sizeof got, &size) != 1)
        rig_turns(&rig, 1);
    assert_memory_equal(got, "last words", 10);
    while (SSL_read_ex(peer.ssl, got, sizeof got, &size) != 1 &&
           SSL_get_error(peer.ssl, 0) != SSL_ERROR_ZERO_RETURN)
        rig_turns(&rig, 1);
    peer_close(&peer);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_LOCAL_CLOSE);
    rig_end(&rig);
    tls_context_unref(context);
    ear_free(&ear);
}

static void handshake(struct rig *rig, struct peer *peer)
{
    while (SSL_do_handshake(peer->ssl) != 1) {
        assert_int_equal(SSL_get_error(peer->ssl, -1), SSL_ERROR_WANT_READ);
        rig_turns(rig, 1);
    }
}

/* In a program that embeds the library SIGPIPE is not blocked, and would end it. */
static void test_a_peer_that_has_gone_raises_no_signal(void **state)
{
    struct tls_context *context = context_of_test();
    struct rig rig;
    struct ear ear;
    struct peer peer;
    int fd;
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    rig_start(&rig);
    ear_open_tls(&rig, &ear, context, &fd);
    peer_open(&peer, fd);
    handshake(&rig, &peer);
    rig_turns(&rig, 3);
    peer_close(&peer);
    assert_true(conn_write(ear.conn, SLICE("nobody hears this")));
    conn_flush(ear.conn);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_ERROR);
    rig_end(&rig);
    tls_context_unref(context);
    ear_free(&ear);
}

/* Nor is OpenSSL's queue of errors, by which it judges each call, always empty there. */
static void test_errors_of_others_do_no_harm(void **state)
{
    struct tls_context *context = context_of_test();
    struct rig rig;
    struct ear ear;
    struct peer peer;
    int fd;
    char got[16];
    size_t size = 0;
    (void)state;
    rig_start(&rig);
    ear_open_tls(&rig, &ear, context, &fd);
    ear.also_on_data = echo;
    peer_open(&peer, fd);
    handshake(&rig, &peer);
    rig_turns(&rig, 3); /* the handshake itself empties the queue */
    assert_int_equal(SSL_write_ex(peer.ssl, "echo", 4, &size), 1);
    while (SSL_read_ex(peer.ssl, got, sizeof got, &size) != 1) {
        ERR_clear_error();
        ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
        rig_turns(&rig, 1);
        ERR_clear_error();
        assert_non_null(ear.conn);
    }
    assert_int_equal(size, 4);
    peer_close(&peer);
    UNTIL(&rig, ear.conn == NULL);
    rig_end(&rig);
    tls_context_unref(context);
    ear_free(&ear);
}

/* A peer that speaks something else, or goes away at any byte of its handshake. */
static void test_broken_handshakes(void **state)
{
    struct tls_context *context = context_of_test();
    struct rig rig;
    char hello[4096];
    int fd, ends[2];
    (void)state;
    make_pair(SOCK_STREAM, ends);
    struct peer peer;
    peer_open(&peer, ends[0]);
    SSL_do_handshake(peer.ssl);
    ERR_clear_error();
    ssize_t size = recv(ends[1], hello, sizeof hello, 0);
    assert_true(size > 100);
    peer_close(&peer);
    close(ends[1]);

    rig_start(&rig);
    for (ssize_t cut = 0; cut <= size; cut++) {
        struct ear ear;
        ear_open_tls(&rig, &ear, context, &fd);
        assert_int_equal(write(fd, hello, (size_t)cut), cut);
        rig_turns(&rig, 1);
        close(fd);
        UNTIL(&rig, ear.conn == NULL);
        assert_int_equal(ear.heard.size, 0);
    }
    static const char *const strangers[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff",
                                            "\x80\x2e\x01"};
    for (size_t i = 0; i < 3; i++) {
        struct ear ear;
        ear_open_tls(&rig, &ear, context, &fd);
        assert_true(write(fd, strangers[i], strlen(strangers[i])) > 0);
        rig_turns(&rig, 3);
        shutdown(fd, SHUT_WR);
        UNTIL(&rig, ear.conn == NULL);
        assert_int_equal(ear.heard.size, 0);
        close(fd);
    }
    rig_end(&rig);
    tls_context_unref(context);
}

static void test_wrong_files(void **state)
{
    struct tls_context *context = NULL;
    (void)state;
    assert_int_equal(tls_context_new("/nowhere.pem", key_file, &context), CVN_ERR_TLS);
    assert_int_equal(tls_context_new(cert_file, "/nowhere.pem", &context), CVN_ERR_TLS);
    assert_int_equal(tls_context_new(garbage_file, key_file, &context), CVN_ERR_TLS);
    assert_int_equal(tls_context_new(cert_file, garbage_file, &context), CVN_ERR_TLS);
    assert_int_equal(tls_context_new(cert_file, other_key_file, &context), CVN_ERR_TLS);
    assert_int_equal(tls_context_new(key_file, cert_file, &context), CVN_ERR_TLS);
    assert_null(context);
    tls_context_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_1_2),
        cmocka_unit_test(test_tls_1_3),
        cmocka_unit_test(test_conflate_tls_1_2),
        cmocka_unit_test(test_conflate_tls_1_3),
        cmocka_unit_test(test_finish_sends_all_and_says_goodbye),
        cmocka_unit_test(test_a_peer_that_has_gone_raises_no_signal),
        cmocka_unit_test(test_errors_of_others_do_no_harm),
        cmocka_unit_test(test_broken_handshakes),
        cmocka_unit_test(test_wrong_files),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
