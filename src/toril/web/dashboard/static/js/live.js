// A page that follows what happens: one stream of events a tab, and this page's own parts anew.
//
// The stream says that something has changed; the page is then asked for once, at most every two
// seconds, with figures that all open pages share. Parts with `data-live` are brought up to date:
//   data-live="swap"  its content is replaced, unless somebody is in it;
//   data-live="rows"  rows are matched by their ids and stay where they are: cells change, new rows
//                     wait behind a bar ("3 new, show"), rows that are chosen or open stay as they are.
// Without a stream (a proxy that keeps it back) the page asks every five seconds.

import { countAges, say } from "./small.js";

const page = document.documentElement;
const button = document.getElementById("live");
const word = document.getElementById("live-word");
const words = button ? JSON.parse(button.dataset.words) : {};
const LEAST_MS = 2000;
const POLL_MS = 5000;
const SILENT_MS = 10000;
const AWAY_MS = 1500;

let stream = null;
let poll = 0;
let silence = 0;
let asked = 0;
let changes = 0;
let waiting = 0;
let follows = page.dataset.follow === "on" && page.dataset.topics !== "" && button !== null;
const holds = new Set();

/** Keep the page still for a reason, such as rows that are chosen, or let it go on. */
export function hold(reason, on) {
  if (on) holds.add(reason);
  else if (holds.delete(reason) && holds.size === 0) soon();
}

function show(state) {
  if (!button || button.dataset.state === state) return;
  const before = button.dataset.state;
  button.dataset.state = state;
  button.setAttribute("aria-pressed", String(state !== "off"));
  word.textContent = words[state] ?? state;
  if (["away", "lost", "ended"].includes(state) || ["away", "lost"].includes(before)) say(word.textContent);
}

function connect() {
  disconnect();
  if (!follows || document.hidden) return;
  stream = new EventSource(`${page.dataset.api}/stream?topics=${encodeURIComponent(page.dataset.topics)}`);
  silence = setTimeout(pollInstead, SILENT_MS);
  const heard = () => {
    clearTimeout(silence);
    clearInterval(poll);
    poll = 0;
  };
  for (const kind of ["overview", "workers", "event"]) {
    stream.addEventListener(kind, (event) => {
      heard();
      show("on");
      document.dispatchEvent(new CustomEvent(`toril:${kind}`, { detail: JSON.parse(event.data) }));
      soon();
    });
  }
  stream.addEventListener("away", () => { heard(); show("away"); soon(AWAY_MS); });
  stream.addEventListener("open", () => {
    if (button.dataset.state !== "away") show("on");
    soon(50);
  });
  stream.addEventListener("error", () => {
    // The browser comes back by itself unless the server has refused; then only asking helps.
    if (stream && stream.readyState === EventSource.CLOSED) pollInstead();
    else soon(AWAY_MS);
  });
}

function disconnect() {
  stream?.close();
  stream = null;
  clearTimeout(silence);
  clearInterval(poll);
  poll = 0;
}

function pollInstead() {
  disconnect();
  if (!follows || document.hidden) return;
  show("poll");
  poll = setInterval(refresh, POLL_MS);
  refresh();
}

/** Bring the page up to date before long. */
export function soon(after = 0) {
  if (waiting || !follows) return;
  waiting = setTimeout(() => { waiting = 0; refresh(); }, Math.max(after, asked + LEAST_MS - Date.now()));
}

/** Whether a dialog is open: nothing moves behind it, and once it closes the page is brought up to date. */
const asks = () => document.querySelector("dialog:modal") !== null;
document.addEventListener("close", () => soon(), true);

async function refresh() {
  if (document.hidden || !follows || asks()) return;
  if (!document.querySelector("[data-live]")) return;
  asked = Date.now();
  const here = location.href;
  const before = changes;
  let answer;
  try {
    answer = await fetch(here, { headers: { "x-toril-refresh": "1" } });
  } catch {
    show("lost");
    soon(AWAY_MS);
    return;
  }
  if (answer.headers.get("x-toril-session") === "ended") {
    show("ended");
    follows = false;
    disconnect();
    return;
  }
  if (answer.status === 503) {
    show("away");
    soon(AWAY_MS);
    return;
  }
  const text = await answer.text();
  // What was asked for before somebody acted may be older than what the page shows by now.
  if (!answer.ok || location.href !== here || changes !== before || asks()) return;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (["away", "lost", "wait"].includes(button.dataset.state)) show(poll ? "poll" : "on");
  update(fresh);
  countAges();
  document.dispatchEvent(new CustomEvent("toril:refreshed"));
}

function update(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = part.id && fresh.getElementById(part.id);
    if (!other) continue;
    if (part.dataset.live === "rows") rows(part, other);
    else if (!busy(part)) fill(part, other);
  }
}

// What the server last sent for an element. Its own content says less: scripts add to it.
const sent = new WeakMap();

/** Give an element the content of another unless that came before; its forms stay on the page. */
function fill(element, other) {
  const html = other.innerHTML;
  if ((sent.get(element) ?? element.innerHTML) === html) return;
  sent.set(element, html);
  element.replaceChildren(...other.childNodes);
  window.htmx?.process(element);
}

let pressed = null;
document.addEventListener("pointerdown", (event) => { pressed = event.target; }, true);
for (const kind of ["pointerup", "pointercancel"]) {
  document.addEventListener(kind, () => setTimeout(() => { pressed = null; }), true);  // after its click
}

/** Whether somebody is in a part: it is pressed, has the focus, or something in it is open or chosen. */
function busy(part) {
  return part.contains(pressed) || part.contains(document.activeElement) && document.activeElement !== part && document.activeElement.matches("input, select, textarea, [aria-expanded=true]")
    || part.querySelector("details[open], dialog:modal, input:checked") !== null;
}

function rows(body, other) {
  if (holds.size) return;
  const fresh = new Map([...other.children].map((row) => [row.id, row]));
  const missing = [...body.children].filter((row) => !fresh.has(row.id));
  // As many new rows as missing ones: these are on the next page by now, and not gone.
  const gone = missing.length > other.children.length - (body.children.length - missing.length);
  for (const row of [...body.children]) {
    const next = fresh.get(row.id);
    fresh.delete(row.id);
    row.classList.toggle("gone", !next && gone);
    if (!next) continue;
    if (!busy(row)) {
      const focused = row.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      row.className = next.className + (row.classList.contains("at") ? " at" : "");
      fill(row, next);
      if (focused) [...row.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
  }
  news(body, fresh.size);
}

function news(body, count) {
  const bar = document.querySelector(`[data-news="${CSS.escape(body.id)}"]`);
  if (!bar) return;
  bar.hidden = count === 0;
  const text = bar.querySelector("[data-count]");
  if (count) text.textContent = text.dataset.count.replace("0", String(count));
}

button?.addEventListener("click", (event) => {
  event.preventDefault();
  follows = !follows;
  document.cookie = `toril_live=${follows ? "on" : "off"}; path=${page.dataset.root || "/"}; max-age=31536000; samesite=lax`;
  if (follows) { show("wait"); connect(); soon(); } else { disconnect(); show("off"); }
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else if (follows) connect();
});
for (const kind of ["htmx:before:request", "htmx:after:swap"]) document.addEventListener(kind, () => { changes += 1; });
// A page that goes into the browser's memory keeps no connection.
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => { if (event.persisted && follows) connect(); });

if (button && page.dataset.topics !== "") {
  button.hidden = false;
  show(follows ? "wait" : "off");
  connect();
}
