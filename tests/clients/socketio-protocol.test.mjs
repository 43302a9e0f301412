// The Socket.IO v5 protocol, case by case, on the contract sio-proto.
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { connectRaw, Polling, RawSocket } from "./support/raw.mjs";
import { isReference, startContract } from "./support/server.mjs";

const PATH = "/socket.io/";
const json = (packet, prefix) => {
  assert.ok(packet?.startsWith(prefix), `${packet} does not begin with ${prefix}`);
  return JSON.parse(packet.slice(prefix.length));
};

for (const workers of isReference ? [1] : [1, 2]) {
  describe(`Socket.IO v5, ${workers} worker(s)`, () => {
    let server, url;
    before(async () => {
      server = await startContract(null, "sio-proto", { workers });
      url = server.url;
    });
    after(() => server.stop());

    /** A WebSocket on which "/" has been joined and its `auth` event read. */
    const connected = async () => {
      const socket = await connectRaw(url);
      socket.id = json(await socket.nextMessage(), "40").sid;
      assert.deepEqual(json(await socket.nextMessage(), "42"), ["auth", {}]);
      return socket;
    };
    const bare = async () => {
      const socket = await RawSocket.engine(url, PATH).opened();
      assert.match(await socket.next(), /^0/);
      return socket;
    };

    describe("connect", () => {
      it("joins the main namespace", async () => {
        const socket = await bare();
        socket.send("40");
        const { sid } = json(await socket.nextMessage(), "40");
        assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
        assert.equal(await socket.nextMessage(), '42["auth",{}]');
        socket.ws.close();
      });

      it("gives the socket another id than the session's", async () => {
        const socket = await connected();
        assert.notEqual(socket.id, socket.sid);
        socket.ws.close();
      });

      it("joins with an auth payload", async () => {
        const socket = await bare();
        socket.send('40{"token":"123","nested":{"a":[1,"ü"]}}');
        await socket.nextMessage();
        const event = json(await socket.nextMessage(), "42");
        assert.deepEqual(event, ["auth", { token: "123", nested: { a: [1, "ü"] } }]);
        socket.ws.close();
      });

      it("joins a custom namespace, with auth", async () => {
        const socket = await bare();
        socket.send('40/custom,{"token":"abc"}');
        assert.ok(json(await socket.nextMessage(), "40/custom,").sid);
        assert.deepEqual(json(await socket.nextMessage(), "42/custom,"), ["auth", { token: "abc" }]);
        socket.ws.close();
      });

      it("joins two namespaces over one connection, each with its own id", async () => {
        const socket = await connected();
        socket.send("40/custom,");
        const { sid } = json(await socket.nextMessage(), "40/custom,");
        assert.notEqual(sid, socket.id);
        assert.match(await socket.nextMessage(), /^42\/custom,/);
        socket.send('42["message","still here"]');
        assert.equal(await socket.nextMessage(), '42["message-back","still here"]');
        socket.ws.close();
      });

      it("refuses an unknown namespace and stays open", async () => {
        const socket = await bare();
        socket.send("40/random,");
        assert.equal(await socket.nextMessage(), '44/random,{"message":"Invalid namespace"}');
        socket.send("40");
        assert.match(await socket.nextMessage(), /^40\{/);
        socket.ws.close();
      });

      it("works over polling", async () => {
        const session = await Polling.open(url, PATH);
        await session.post("40");
        let text = "";
        while (!text.includes("auth")) text += (await session.get()).text;
        assert.match(text, /40\{"sid":"[^"]+"\}\x1e42\["auth",\{\}\]/);
        await session.post("1");
      });

      it("closes a connection that joins nothing in time", async () => {
        const socket = await bare();
        for (let message; (message = await socket.next()) !== null; )
          if (message === "2") socket.send("3");
      });
    });

    describe("disconnect", () => {
      it("leaves one namespace and keeps the other", async () => {
        const socket = await connected();
        socket.send("40/custom,");
        await socket.nextMessage();
        await socket.nextMessage();
        socket.send("41/custom,");
        socket.send('42["message","x"]');
        assert.equal(await socket.nextMessage(), '42["message-back","x"]');
        socket.ws.close();
      });

      it("can join again after leaving", { skip: isReference && "it leaves a tick later" }, async () => {
        const socket = await connected();
        socket.send("41");
        socket.send("40");
        assert.notEqual(json(await socket.nextMessage(), "40").sid, socket.id);
        socket.ws.close();
      });
    });

    describe("events", () => {
      it("carries text arguments", async () => {
        const socket = await connected();
        socket.send('42["message",1,"2",{"3":[true]},null,-1.5e3]');
        assert.equal(
          await socket.nextMessage(),
          isReference
            ? '42["message-back",1,"2",{"3":[true]},null,-1500]'
            : '42["message-back",1,"2",{"3":[true]},null,-1.5e3]', // forwarded verbatim
        );
        socket.ws.close();
      });

      it("carries an event without arguments", async () => {
        const socket = await connected();
        socket.send('42["message"]');
        assert.equal(await socket.nextMessage(), '42["message-back"]');
        socket.ws.close();
      });

      it("carries lone surrogates and odd white space", async () => {
        const socket = await connected();
        socket.send('42[ "message" , "\\ud800" , { "a" : 1 } ] ');
        const back = json(await socket.nextMessage(), "42");
        assert.deepEqual(back, ["message-back", "\ud800", { a: 1 }]);
        socket.ws.close();
      });

      it("knows an escaped event name", async () => {
        const socket = await connected();
        socket.send('42["m\\u0065ssage",1]');
        assert.equal(await socket.nextMessage(), '42["message-back",1]');
        socket.ws.close();
      });

      it("carries binary, one attachment and several", async () => {
        const socket = await connected();
        socket.send('452-["message",{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]');
        socket.send(Buffer.from([1, 2, 3]));
        socket.send(Buffer.from([4, 5, 6]));
        assert.deepEqual(json(await socket.nextMessage(), "452-"), [
          "message-back",
          { _placeholder: true, num: 0 },
          { a: { _placeholder: true, num: 1 } },
        ]);
        assert.deepEqual(await socket.nextMessage(), Buffer.from([1, 2, 3]));
        assert.deepEqual(await socket.nextMessage(), Buffer.from([4, 5, 6]));
        socket.ws.close();
      });

      it("carries binary over polling", async () => {
        const session = await Polling.open(url, PATH);
        await session.post('40\x1e451-["message",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
        let text = "";
        while (!text.includes("message-back")) text += (await session.get()).text + "\x1e";
        assert.match(
          text,
          /451-\["message-back",\{"_placeholder":true,"num":0\}\]\x1ebAQIDBA==/,
        );
        await session.post("1");
      });

      it("answers an acknowledgement", async () => {
        const socket = await connected();
        socket.send('42456["message-with-ack",1,"2",{"3":[false]}]');
        assert.equal(await socket.nextMessage(), '43456[1,"2",{"3":[false]}]');
        socket.ws.close();
      });

      it("answers a binary acknowledgement", async () => {
        const socket = await connected();
        socket.send('451-789["message-with-ack",{"_placeholder":true,"num":0}]');
        socket.send(Buffer.from([9, 8, 7]));
        assert.equal(await socket.nextMessage(), '461-789[{"_placeholder":true,"num":0}]');
        assert.deepEqual(await socket.nextMessage(), Buffer.from([9, 8, 7]));
        socket.ws.close();
      });

      it("keeps the order of many", async () => {
        const socket = await connected();
        for (let i = 0; i < 1000; i++) socket.send(`42["message",${i}]`);
        for (let i = 0; i < 1000; i++)
          assert.equal(await socket.nextMessage(), `42["message-back",${i}]`);
        socket.ws.close();
      });

      it("ignores an acknowledgement nobody waits for, and an event nobody handles", async () => {
        const socket = await connected();
        socket.send("43999[1]");
        socket.send('42["unheard",1]');
        socket.send('42["message",1]');
        assert.equal(await socket.nextMessage(), '42["message-back",1]');
        socket.ws.close();
      });
    });

    describe("what must end the connection", () => {
      const bad = [
        ["an unknown packet type", ["4abc"]],
        ["an empty packet", ["4"]],
        ["an event that is no array", ['42{"a":1}']],
        ["an event whose name is an object", ['42[{"toString":"foo"}]']],
        ["an event whose name is null", ["42[null]"]],
        ["an empty event", ["42[]"]],
        ["JSON that is none", ['42["message"']],
        ["JSON with garbage behind it", ['42["message"]x']],
        ["deep JSON, 100 000 arrays", ["42" + "[".repeat(100000) + "]".repeat(100000)], "it dies of it"],
        ["a client's CONNECT_ERROR", ["44{}"], "it does not check"],
        ["an event on a namespace not joined", ['42/custom,["message"]']],
        ["a second CONNECT", ["40"]],
        ["text while binary is awaited", ['451-["message",{"_placeholder":true,"num":0}]', '42["message"]']],
        ["binary that nobody awaits", [Buffer.from([1])]],
        ["no attachments in a binary event", ['450-["message"]'], "older versions took it"],
        ["more attachments than allowed", ['4511-["message"]']],
        ["a count of attachments that is none", ['45x-["message"]']],
        ["a placeholder beyond the attachments", ['451-["message",{"_placeholder":true,"num":1}]', Buffer.from([1])]],
        ["a placeholder with a word for a number", ['451-["message",{"_placeholder":true,"num":"splice"}]', Buffer.from([1])]],
        ["a placeholder with a negative number", ['451-["message",{"_placeholder":true,"num":-1}]', Buffer.from([1])]],
        ["an array as auth payload", ["__bare__", "40[]"]],
        ["a string as auth payload", ["__bare__", '40"x"']],
      ];
      for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"])
        bad.push([`the reserved event name ${name}`, [`42["${name}"]`]]);
      bad.push(["a reserved event name in escapes", ['42["\\u0063onnect"]']]);

      for (const [name, packets, skip] of bad) {
        it(name, { skip: isReference && skip }, async () => {
          const socket = packets[0] === "__bare__" ? await bare() : await connected();
          for (const packet of packets) if (packet !== "__bare__") socket.send(packet);
          for (let message; (message = await socket.next()) !== null; )
            assert.equal(message, "2", "only a ping may come before the end");
          const healthy = await connected(); // and it alone
          healthy.ws.close();
        });
      }
    });

    it("limits what one payload may open", { skip: isReference && "it opens them all" }, async () => {
      const session = await Polling.open(url, PATH);
      const answer = await session.post(
        Array.from({ length: 2000 }, (_, i) => `40/n${i},`).join("\x1e"),
      );
      assert.ok(answer.status === 200 || answer.status === 400);
      const healthy = await connected();
      healthy.ws.close();
    });
  });
}
