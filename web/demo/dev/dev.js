// The developers' page: a token for whomever one likes to be, and who of the organisation and a course is there. The official client, nothing else.
"use strict";

const element = (id) => document.getElementById(id);
const ANSWER_MS = 10_000;

let socket = null;
let user = null; // as POST /dev/token takes it
let expiresAt = 0; // Unix seconds
let warning = ""; // that the token ends soon
let course = null; // the one we are in
const rooms = new Map(); // "org:acme" -> {list, count, people: Map of id -> {userId, name?, status}}
const statuses = ["online", "away", "busy", "offline"];

const WORDS = {
  VALIDATION: "The server did not understand that",
  FORBIDDEN: "That is not allowed for this user",
  NOT_FOUND: "There is no such thing",
  NOT_JOINED: "You are not in that room",
  RATE_LIMITED: "Too often: wait a moment",
  ROOM_FULL: "The room is full",
  TOO_MANY_ROOMS: "You are in too many rooms",
  UNAVAILABLE: "The server cannot do that at the moment",
  INTERNAL: "Something went wrong on the server",
  AUTH_REQUIRED: "The server wants a token",
  AUTH_INVALID: "The server does not take this token; it may have been started anew: sign in again",
  AUTH_EXPIRED: "The token has expired: sign in again",
  SERVER_FULL: "The server is full",
  NAMESPACE_DISABLED: "This server has switched that off",
};

/** Without words only what holds for longer than a moment is left there. */
function complain(words) {
  element("trouble").textContent = words || warning;
  element("trouble").hidden = element("trouble").textContent === "";
}

function warn(words) {
  warning = words;
  element("left").className = words === "" ? "" : "soon";
  complain(words);
}

const inWords = (error) => {
  const wait = error.retry_after_ms ? ` (again in ${Math.ceil(error.retry_after_ms / 1000)} s)` : "";
  return `${WORDS[error.code] ?? error.code}${error.message ? `: ${error.message}` : ""}${wait}.`;
};

/** The data of a good answer; null, and the reason on the page, otherwise. */
async function ask(event, payload) {
  let answer;
  try {
    answer = await socket.timeout(ANSWER_MS).emitWithAck(event, payload);
  } catch {
    complain("The server does not answer.");
    return null;
  }
  complain(answer.ok ? "" : inWords(answer.error));
  return answer.ok ? (answer.data ?? {}) : null;
}

/* --- Tokens --- */

async function fetchJson(path, body) {
  let answer;
  try {
    const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(path, options);
    answer = await response.json();
    if (response.ok) return answer;
  } catch {
    complain("The server cannot be reached.");
    return null;
  }
  complain(inWords(answer.error ?? { code: "INTERNAL" }));
  return null;
}

async function signIn(who) {
  const issued = await fetchJson("/dev/token", who);
  if (issued === null) return;
  complain("");
  user = who;
  expiresAt = issued.expires_at;
  element("me-name").textContent = user.name ?? user.user_id;
  element("me-what").textContent = [user.role.toLowerCase(), user.org_id && `of ${user.org_id}`].filter(Boolean).join(" ");
  element("org-title").textContent = user.org_id ? `People of ${user.org_id}` : "No organisation";
  element("course").replaceChildren(...(user.courses ?? []).map((id) => new Option(id, id)));
  element("room").hidden = (user.courses ?? []).length === 0;
  element("choose").hidden = true;
  element("desk").hidden = false;
  connect(issued.token);
  showRoom(null, "course-people", element("room").hidden ? "This user has no courses." : "Go in to see who is there.");
  showRoom(null, "org", user.org_id ? "…" : "This user belongs to none.");
  document.title = `${user.name ?? user.user_id} – Convene`;
  element("refresh").focus();
}

function signOut() {
  socket?.disconnect();
  socket = user = course = null;
  rooms.clear();
  expiresAt = 0;
  warn("");
  element("choose").hidden = false;
  element("desk").hidden = true;
  document.title = "Convene: who is there";
  showState("out", "signed out");
}

async function refresh() {
  warn(""); // said again by the server when the new one ends soon, too
  element("refresh").disabled = true;
  const issued = await fetchJson("/dev/token", user);
  if (issued !== null && socket !== null) {
    socket.auth = { token: issued.token };
    if (!socket.connected) {
      expiresAt = issued.expires_at;
      socket.connect();
    } else {
      const data = await ask("auth_refresh", { token: issued.token });
      if (data !== null) expiresAt = data.expires_at;
    }
  }
  element("refresh").disabled = false;
  showTime();
}

function showTime() {
  if (user === null) return;
  const left = Math.max(0, Math.round(expiresAt - Date.now() / 1000));
  const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor((left % 3600) / 60), left % 60];
  const two = (number) => String(number).padStart(2, "0");
  element("left").textContent = left === 0 ? "expired" : hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/* --- The connection --- */

function showState(state, words) {
  element("state").dataset.state = state;
  element("state").textContent = words;
  for (const control of document.querySelectorAll("#status input, #join, #course")) control.disabled = state !== "connected";
}

const showConnected = () => showState("connected", `connected over ${socket.io.engine.transport.name}`);

function connect(token) {
  showState("connecting", "connecting");
  const mine = (socket = io("/", { auth: { token }, forceNew: true }));
  const on = (event, fn) => socket.on(event, (...args) => mine === socket && fn(...args));
  on("connect", () => {
    complain("");
    showConnected();
    mine.io.engine.once("upgrade", () => mine === socket && showConnected());
    arrive();
  });
  on("disconnect", () => {
    warning = ""; // too late for it
    showState("disconnected", "disconnected");
  });
  on("connect_error", (error) => {
    showState("disconnected", mine.active ? "trying again" : "disconnected");
    complain(error.data?.code ? inWords({ ...error.data, message: "" }) : "The server cannot be reached.");
  });
  on("error", ({ error }) => complain(inWords(error)));
  on("auth_expiring", () => {
    warn("The token expires soon: refresh it to stay connected.");
  });
  on("room_closed", ({ room, code }) => {
    rooms.delete(room);
    complain(inWords({ code, message: `${room} was left` }));
  });
  on("presence", onPresence);
}

/** In again, for the first time or after an interruption: what was joined and chosen is joined and chosen once more. */
async function arrive() {
  rooms.clear();
  if (user.org_id) await join("org", user.org_id, "org");
  const seen = rooms.get(`org:${user.org_id}`)?.people.get(user.user_id)?.status;
  if (seen) chooseStatus(seen);
  if (course !== null) await join("course", course, "course-people");
}

/* --- Who is there --- */

async function join(kind, id, list) {
  const data = await ask("presence_join", { kind, id });
  if (data === null) return false;
  rooms.set(data.room, { list, count: data.count, people: new Map(data.members.map((it) => [it.userId, it])) });
  showRoom(data.room, list);
  return true;
}

function showRoom(name, list, otherwise = "Nobody is here.") {
  const room = rooms.get(name);
  const items = [...(room?.people.values() ?? [])]
    .sort((a, b) => statuses.indexOf(a.status) - statuses.indexOf(b.status) || (a.name ?? a.userId).localeCompare(b.name ?? b.userId))
    .map((person) => {
      const item = document.createElement("li");
      const [who, how] = [document.createElement("span"), document.createElement("span")];
      item.dataset.user = person.userId;
      item.dataset.status = person.status;
      who.className = "name";
      who.textContent = (person.name ?? person.userId) + (person.userId === user?.user_id ? " (you)" : "");
      how.className = "how";
      how.textContent = person.status;
      item.append(who, how);
      return item;
    });
  const more = (room?.count ?? 0) - items.length;
  if (items.length === 0 || more > 0) {
    const item = document.createElement("li");
    item.className = "none";
    item.textContent = items.length === 0 ? otherwise : `and ${more} more`;
    items.push(item);
  }
  element(list).replaceChildren(...items);
}

function chooseStatus(status) {
  for (const input of document.querySelectorAll("#status input")) input.checked = input.value === status;
}

function onPresence(change) {
  if (change.type === "members") {
    const room = rooms.get(change.room);
    if (room === undefined) return;
    for (const person of change.joined) room.people.set(person.userId, person);
    for (const id of change.left) room.people.delete(id);
    room.count = change.count;
    showRoom(change.room, room.list);
    return;
  }
  for (const [name, room] of rooms) {
    const person = room.people.get(change.userId);
    if (person === undefined) continue;
    person.status = change.status;
    showRoom(name, room.list);
  }
  if (change.userId === user.user_id) chooseStatus(change.status); // from another window of this user
}

/* --- What people do --- */

element("other").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const wish = { role: form.get("role"), lifetime_s: Number(form.get("lifetime_s")) };
  for (const name of ["user_id", "name", "org_id"]) if (form.get(name).trim() !== "") wish[name] = form.get(name).trim();
  for (const name of ["division_ids", "courses"]) wish[name] = form.get(name).split(",").map((id) => id.trim()).filter(Boolean);
  signIn(wish);
});

element("status").addEventListener("change", async (event) => {
  const before = rooms.get(`org:${user.org_id}`)?.people.get(user.user_id)?.status;
  if ((await ask("status", { status: event.target.value })) === null && before) chooseStatus(before);
});

element("room").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = element("course").value;
  if (course !== null && course !== wanted) {
    rooms.delete(`course:${course}`);
    await ask("presence_leave", { kind: "course", id: course });
  }
  course = (await join("course", wanted, "course-people")) ? wanted : null;
});

element("refresh").addEventListener("click", refresh);
element("leave").addEventListener("click", signOut);
setInterval(showTime, 500);

fetchJson("/dev/users").then((answer) => {
  element("ready").replaceChildren(
    ...(answer?.users ?? []).map(({ description, user: who }) => {
      const [item, button, words] = ["li", "button", "small"].map((name) => document.createElement(name));
      button.type = "button";
      button.dataset.user = who.user_id;
      words.textContent = description;
      button.append(who.name, words);
      button.addEventListener("click", () => signIn(who));
      item.append(button);
      return item;
    }),
  );
});
