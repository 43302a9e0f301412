#!/usr/bin/python3
"""Debian's python3-socketio as a client of the sio-java contract: client.py URL sync|async polling|websocket|upgrade json|msgpack

Runs every case, prints "ok NAME" for each, and ends with 0 when all held. The Node test that calls it gives the deadline."""
import asyncio
import queue
import sys

import socketio

PATIENCE = 20  # seconds for any one answer

url, style, way, parser = sys.argv[1:5]
transports = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}[way]

serializer = {"json": "default", "msgpack": "msgpack"}[parser]


def ok(name):
    print("ok", name, flush=True)


def expect(got, wanted, name):
    if got != wanted:
        print(f"not ok {name}: got {got!r}, wanted {wanted!r}", flush=True)
        sys.exit(1)
    ok(name)


class Sync:
    """The blocking client; what it hears goes to a queue an event."""

    def __init__(self, namespace="/"):
        self.namespace = namespace
        self.client = socketio.Client(reconnection=False, serializer=serializer)
        self.heard = {}

    def listen(self, *events):
        for event in events:
            self.heard[event] = queue.Queue()
            self.client.on(event, lambda *args, event=event: self.heard[event].put(args), namespace=self.namespace)

    def connect(self, **options):
        self.client.connect(url, transports=transports, namespaces=[self.namespace], wait_timeout=PATIENCE, **options)

    def next(self, event):
        return self.heard[event].get(timeout=PATIENCE)

    def emit(self, event, data=None):
        self.client.emit(event, data, namespace=self.namespace)

    def call(self, event, data=None):
        return self.client.call(event, data, namespace=self.namespace, timeout=PATIENCE)


def run_sync():
    for namespace in ("/", "/foo"):
        at = f" on {namespace}"
        one = Sync(namespace)
        one.listen("message", "echoBack", "ack", "ackBack", "broadcastBack", "roomBack", "disconnect")
        one.client.on("ack", lambda *args: args, namespace=namespace)  # what it returns is the acknowledgement
        one.connect(headers={"X-SocketIO": "python"})
        expect(one.next("message"), ("hello client",), "greeting" + at)
        expect(one.client.transport(), "polling" if way == "polling" else "websocket", "transport" + at)
        one.emit("echo", ("ünïcode ✓ \U0001f600", 1, None, {"a": [True, 2.5]}))
        expect(one.next("echoBack"), ("ünïcode ✓ \U0001f600", 1, None, {"a": [True, 2.5]}), "echo" + at)
        one.emit("echo", (b"\x00\x01\xff", {"deep": [b"", b"x" * 5000]}))
        expect(one.next("echoBack"), (b"\x00\x01\xff", {"deep": [b"", b"x" * 5000]}), "binary echo" + at)
        expect(one.call("ack", ("a", {"b": 1})), ("a", {"b": 1}), "acknowledgement" + at)
        expect(one.call("ack", b"bytes"), b"bytes", "binary acknowledgement" + at)
        expect(one.call("getAckBinary", "x"), b"huehue", "binary acknowledgement alone" + at)
        one.emit("callAck")
        if parser == "msgpack":
            one.emit("callAck")  # in MessagePack this client loses an id of 0, as the first one is
        one.next("ackBack")
        ok("acknowledgement asked by the server" + at)
        two = Sync(namespace)
        two.listen("message", "broadcastBack")
        two.connect()
        two.next("message")
        one.emit("broadcast", "to the others")
        expect(two.next("broadcastBack"), ("to the others",), "broadcast" + at)
        one.emit("room", "to myself")
        expect(one.next("roomBack"), ("to myself",), "own room" + at)
        expect(one.heard["broadcastBack"].qsize(), 0, "no broadcast to the sender" + at)
        two.client.disconnect()
        one.emit("requestDisconnect")
        one.next("disconnect")
        ok("disconnected by the server" + at)
        one.client.disconnect()
    refused = Sync("/no")
    refused.listen("connect_error")
    try:
        refused.connect()
        expect("connected", "refused", "a middleware's refusal")
    except socketio.exceptions.ConnectionError:
        expect(refused.next("connect_error")[0], {"message": "auth failed", "data": {"a": "b", "c": 3}},
               "a middleware's refusal")
    refused.client.disconnect()


async def run_async():
    client = socketio.AsyncClient(reconnection=False, serializer=serializer)
    heard = asyncio.Queue()
    client.on("message", lambda *args: heard.put_nowait(args))
    client.on("echoBack", lambda *args: heard.put_nowait(args))
    await client.connect(url, transports=transports, wait_timeout=PATIENCE, auth={"token": "abc"})
    expect(await asyncio.wait_for(heard.get(), PATIENCE), ("hello client",), "greeting")
    handshake = await client.call("getHandshake", timeout=PATIENCE)
    expect(handshake["auth"], {"token": "abc"}, "auth payload")
    got = []
    for start in range(0, 100, 10):  # this client refuses a poll's answer of more than 16 packets, whoever the server is
        for number in range(start, start + 10):
            await client.emit("echo", number)
        got += [await asyncio.wait_for(heard.get(), PATIENCE) for _ in range(10)]
    expect(got, [(number,) for number in range(100)], "a hundred in order")
    await client.emit("echo", b"\x00" * 100000)
    expect(await asyncio.wait_for(heard.get(), PATIENCE), (b"\x00" * 100000,), "large binary")
    answers = await asyncio.gather(*[client.call("ack", number, timeout=PATIENCE) for number in range(15)])
    expect(answers, list(range(15)), "fifteen acknowledgements at once")
    await client.disconnect()


if style == "sync":
    run_sync()
else:
    asyncio.run(run_async())
print("all held", flush=True)
