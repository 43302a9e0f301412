#!/usr/bin/env python3
"""The load generator: every mode does its work against our servers, counts it, and notices a server that errs.

Run by CTest with CONVENE_BUILD_DIR; checks counts and errors, never times.
"""
import http.server
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import threading
import unittest

BUILD = pathlib.Path(os.environ["CONVENE_BUILD_DIR"])
SHORT = ["--seconds", "0.2", "--warmup", "0.05"]


def load(port, *arguments):
    return subprocess.run([BUILD / "convene-load", *arguments, "--port", str(port), *SHORT], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=60)


class Modes:
    """Against one server for all modes: connections that were left behind by one would show in the next."""

    program = ""
    status = 0  # a sanitizer that found something makes another one of it

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([BUILD / cls.program, "--port", "0"], stdout=subprocess.PIPE, text=True)
        cls.port = int(cls.server.stdout.readline().rsplit(":", 1)[1])

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.stdout.close()
        status = cls.server.wait(30)
        assert status == cls.status, f"{cls.program} ended with status {status}"

    def figures(self, *arguments):
        done = load(self.port, *arguments, "--pid", str(self.server.pid))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        figures = json.loads(done.stdout)
        self.assertEqual(figures["mode"], arguments[0])
        self.assertGreater(figures["rss_bytes"], 0)
        return figures

    def works(self, *arguments):
        figures = self.figures(*arguments)
        self.assertGreater(figures["count"], 0)
        self.assertLessEqual(figures["p50_us"], figures["p99_us"])
        self.assertLessEqual(figures["p99_us"], figures["max_us"])
        return figures

    def test_echo(self):
        self.assertEqual(self.works("echo", "--connections", "20")["connections"], 20)
        self.works("echo", "--connections", "3", "--depth", "8")
        self.works("echo", "--connections", "3", "--bytes", "0")
        self.works("echo", "--connections", "3", "--bytes", "1000")

    def test_broadcast(self):
        self.works("broadcast", "--members", "50")
        self.works("broadcast", "--members", "50", "--publishers", "8")

    def test_broadcast_at_a_rate(self):
        # A publication in the measured window is delivered to everybody before it ends, or is not counted: all but the last
        # few are.
        figures = self.works("broadcast", "--members", "20", "--publishers", "4", "--rate", "200")
        self.assertLessEqual(figures["count"], 20 * 200 * 3)

    def test_connect(self):
        self.works("connect", "--connections", "10")

    def test_idle(self):
        figures = self.figures("idle", "--connections", "50")
        self.assertEqual((figures["count"], figures["connections"]), (0, 50))

    def test_messages_end_the_run(self):
        self.assertGreaterEqual(self.works("echo", "--connections", "2", "--messages", "5")["count"], 5)


class Convene(Modes, unittest.TestCase):
    program = "convene-bench-server"

    def test_large(self):
        self.works("echo", "--connections", "2", "--bytes", "100000")
        self.works("echo", "--connections", "2", "--bytes", "100000", "--polling")

    def test_rooms(self):
        self.assertEqual(self.works("rooms", "--rooms", "10", "--members", "4")["connections"], 40)

    def test_churn(self):
        self.works("churn", "--connections", "9", "--life", "3")
        self.works("churn", "--connections", "9", "--life", "3", "--polling")

    def test_polling(self):
        self.works("echo", "--connections", "5", "--polling")
        self.works("echo", "--connections", "5", "--depth", "4", "--polling")
        self.works("connect", "--connections", "5", "--polling")
        self.works("broadcast", "--members", "20", "--publishers", "2", "--polling")
        self.works("rooms", "--rooms", "5", "--members", "3", "--polling")
        self.figures("idle", "--connections", "20", "--polling")


class Floor(Modes, unittest.TestCase):
    program = "convene-bench-floor"
    status = -signal.SIGTERM


def frame(text):
    data = text.encode()
    return bytes([0x81, len(data)]) + data if len(data) < 126 else bytes([0x81, 126, *len(data).to_bytes(2, "big")]) + data


def read_frame(stream):
    head = stream.read(2)
    if len(head) < 2 or head[0] != 0x81:
        return None
    size = head[1] & 0x7F
    if size == 126:
        size = int.from_bytes(stream.read(2), "big")
    mask, data = stream.read(4), stream.read(size)
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)).decode()


HANDSHAKE = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


class Stalls(unittest.TestCase):
    """A server of one connection that delivers nothing for as long as publications come, and then all of them."""

    SILENCE = 0.4

    def serve(self, listener):
        received = queue.SimpleQueue()
        with listener, listener.accept()[0] as peer, peer.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            peer.sendall(HANDSHAKE + frame('0{"sid":"abc"}'))
            reader = threading.Thread(target=lambda: [*map(received.put, iter(lambda: read_frame(stream), None)),
                                                      received.put(None)])
            reader.start()
            kept = []
            while True:
                try:
                    message = received.get(timeout=self.SILENCE)
                except queue.Empty:
                    peer.sendall(b"".join(map(frame, kept)))
                    kept.clear()
                    continue
                if message is None:
                    break
                if message == "40":
                    peer.sendall(frame('40{"sid":"def"}'))
                elif "join" in message:
                    peer.sendall(frame("430[]"))
                else:
                    kept.append('42["msg",' + message.split(",")[2])
            reader.join()

    def test_what_it_delayed_counts(self):
        # All of it arrives when the measured window is over. Without its latencies the server would look like an idle one.
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=self.serve, args=[listener])
        thread.start()
        done = load(listener.getsockname()[1], "broadcast", "--members", "1", "--rate", "200")
        thread.join(30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertGreater(json.loads(done.stdout)["p50_us"], self.SILENCE * 0.9e6)


class Impatient(unittest.TestCase):
    """A polling server that ends every connection of a POST behind its answer, as others do when their keep-alive time is over."""

    def test_the_next_post_opens_another(self):
        polls, posts = queue.SimpleQueue(), []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_GET(self):
                self.answer(polls.get() if "sid=" in self.path else '0{"sid":"abc"}')

            def do_POST(self):
                packet = self.rfile.read(int(self.headers["Content-Length"])).decode()
                posts.append(self.client_address)
                self.answer("ok")
                self.connection.shutdown(socket.SHUT_WR)
                self.close_connection = True
                self.rfile.read()  # until the client has noticed
                polls.put('40{"sid":"def"}' if packet == "40" else packet.replace('"echo",', "").replace("42", "43", 1))

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, args=[0.01]).start()
            done = load(server.server_address[1], "echo", "--connections", "1", "--polling", "--messages", "3")
            server.shutdown()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertGreaterEqual(json.loads(done.stdout)["count"], 1)
        self.assertEqual(len(set(posts)), len(posts))


class Errs(unittest.TestCase):
    """A server of one connection that answers the third message as `answer(message)` says: a list of frames."""

    def complaint(self, answer, *arguments):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener, listener.accept()[0] as peer, peer.makefile("rb") as stream:
                while stream.readline() != b"\r\n":
                    pass
                peer.sendall(HANDSHAKE + frame('0{"sid":"abc"}'))
                number = 0
                try:
                    while (message := read_frame(stream)) is not None:
                        number += 1
                        if message == "40":
                            peer.sendall(frame('40{"sid":"def"}'))
                        else:
                            answers = answer(message) if number == 3 else [self.right(message)]
                            if answers is None:
                                return
                            peer.sendall(b"".join(map(frame, answers)))
                except OSError:  # it has seen enough
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        done = load(listener.getsockname()[1], *arguments, "--connections", "1", "--members", "1", "--bytes", "3",
                    "--patience", "0.2")
        thread.join(30)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return done.stderr

    @staticmethod
    def right(message):
        if "join" in message:
            return "430[]"
        if "pub" in message:
            return '42["msg",' + message.split(",")[2]
        return message.replace('"echo",', "").replace("42", "43", 1)

    def test_wrong_bytes(self):
        self.assertIn("a wrong acknowledgement", self.complaint(lambda m: [self.right(m).replace("x", "y")], "echo"))

    def test_wrong_id(self):
        self.assertIn("a wrong acknowledgement", self.complaint(lambda m: ['437[7,"xxx"]'], "echo"))

    def test_answered_twice(self):
        self.assertIn("a wrong acknowledgement", self.complaint(lambda m: [self.right(m)] * 2, "echo"))

    def test_no_answer(self):
        self.assertIn("1 messages were lost", self.complaint(lambda m: [], "echo"))

    def test_closed(self):
        self.assertIn("closed by the server", self.complaint(lambda m: None, "echo"))

    def test_unasked(self):
        self.assertIn("a wrong message", self.complaint(lambda m: ['42["other"]'], "broadcast"))

    def test_delivered_twice(self):
        self.assertIn("publication 0 of publisher 0 instead of 1",
                      self.complaint(lambda m: [self.right(m)] * 2, "broadcast"))

    def test_never_published(self):
        self.assertIn("of publisher 0 instead of 0", self.complaint(lambda m: ['42["msg","000000:0000000009:xxx"]'],
                                                                   "broadcast"))

    def test_not_delivered(self):
        self.assertIn("1 messages were lost", self.complaint(lambda m: [], "broadcast"))

    def test_kicked_out(self):
        self.assertIn("an unexpected packet", self.complaint(lambda m: ["41"], "echo"))

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.assertEqual(load(port, "echo").returncode, 1)

    def test_usage(self):
        for arguments in [["echo"], ["nothing", "--port", "1"], ["--port", "1"], ["echo", "--port", "1", "--what"]]:
            self.assertEqual(subprocess.run([BUILD / "convene-load", *arguments], capture_output=True).returncode, 2)
        for value in ["0", "65536", "1x", ""]:
            self.assertEqual(load(value, "echo").returncode, 1)


if __name__ == "__main__":
    unittest.main()
