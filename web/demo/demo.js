// The demo's chat room: the official client, nothing else.
"use strict";

const element = (id) => document.getElementById(id);
const TYPING_MS = 2500; // somebody who writes nothing for so long has stopped typing

const socket = io("/demo");
let name = "";
let version = -1; // of the list of people
let typingTimer = null;
const typing = new Map(); // id -> name

function show(state) {
  element("state").dataset.state = state;
  element("state").textContent =
    state === "connected" ? `connected over ${socket.io.engine.transport.name}` : state;
  for (const button of document.querySelectorAll("button")) button.disabled = state !== "connected";
}

function addMessage({ id, name: who, text, time }) {
  const item = document.createElement("li");
  const head = document.createElement("p");
  const body = document.createElement("p");
  const clock = new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  head.className = "who";
  head.textContent = id === socket.id ? clock : `${who}, ${clock}`;
  body.className = "what";
  body.textContent = text;
  if (id === socket.id) item.className = "mine";
  item.append(head, body);
  element("messages").append(item);
  item.scrollIntoView({ block: "end" });
}

function showPeople(list) {
  if (list.version <= version) return; // overtaken by a newer one
  version = list.version;
  element("count").textContent = list.people.length;
  element("people").replaceChildren(
    ...list.people.map(({ id, name: who }) => {
      const item = document.createElement("li");
      item.textContent = id === socket.id ? `${who} (you)` : who;
      return item;
    }),
  );
  const here = new Set(list.people.map(({ id }) => id));
  for (const id of typing.keys()) if (!here.has(id)) typing.delete(id);
  showTyping();
}

function showTyping() {
  const names = [...typing.values()];
  element("typing").textContent =
    names.length === 0 ? "" : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing …`;
}

async function enter() {
  let answer;
  try {
    answer = await socket.timeout(5000).emitWithAck("enter", { name });
  } catch {
    answer = { ok: false, error: "the server does not answer" };
  }
  element("refusal").textContent = answer.ok ? "" : answer.error;
  if (!answer.ok) return;
  element("enter").hidden = true;
  element("room").hidden = false;
  element("messages").replaceChildren();
  answer.messages.forEach(addMessage);
  version = -1;
  showPeople(answer);
  element("text").focus();
}

function stopTyping() {
  if (typingTimer === null) return;
  clearTimeout(typingTimer);
  typingTimer = null;
  socket.emit("typing", { isTyping: false });
}

element("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  name = element("name").value.trim();
  if (name !== "") enter();
});

element("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (text === "") return;
  stopTyping();
  element("text").value = "";
  try {
    await socket.timeout(5000).emitWithAck("message", { text });
  } catch {
    element("text").value = text; // not delivered: give it back
  }
});

element("text").addEventListener("input", () => {
  if (typingTimer === null) socket.emit("typing", { isTyping: true });
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, TYPING_MS);
});

socket.on("connect", () => {
  show("connected");
  socket.io.engine.once("upgrade", () => show("connected"));
  if (name !== "") enter(); // back after an interruption
});
socket.on("disconnect", () => show("disconnected"));
socket.on("connect_error", () => show("disconnected"));
socket.on("people", showPeople);
socket.on("message", (message) => {
  typing.delete(message.id);
  showTyping();
  addMessage(message);
});
socket.on("typing", ({ id, name: who, isTyping }) => {
  if (isTyping) typing.set(id, who);
  else typing.delete(id);
  showTyping();
});

show("connecting");
