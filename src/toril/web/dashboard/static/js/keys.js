// Keys. Each does what a visible control does as well.

const PLACE_WITHIN_MS = 1500;
let placeUntil = 0; // of an event's time stamp: a slow page loses no key that came in time

const places = () => document.querySelectorAll(".side a[data-go]");
const rows = () => [...document.querySelectorAll("table.data tbody tr[data-row]")];

function typing(target) {
  return target.matches?.("input:not([type=checkbox]):not([type=radio]), select, textarea, [contenteditable]");
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("at"));
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  all[at]?.classList.remove("at");
  next.classList.add("at");
  next.querySelector("a, input")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

async function palette() {
  const { open } = await import("./palette.js");
  open();
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-palette]") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  palette();
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k" && document.querySelector("[data-palette]") && !document.querySelector("dialog:modal")) {
    event.preventDefault();
    palette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog:modal")) return;
  if (event.timeStamp < placeUntil) {
    placeUntil = 0;
    for (const place of places()) if (place.dataset.go === event.key) return place.click();
  }
  const row = document.querySelector("table.data tbody tr.at");
  switch (event.key) {
    case "/":
      event.preventDefault();
      (document.querySelector("[data-search-here]") ?? document.getElementById("search"))?.focus();
      break;
    case "g": placeUntil = event.timeStamp + PLACE_WITHIN_MS; break;
    case "j": move(1); break;
    case "k": move(-1); break;
    case "x":
    case "X": row?.querySelector("[data-pick]")?.click(); break;
    case "Enter": if (row && !event.target.closest("a, button, summary, input")) row.querySelector("th a, td a")?.click(); break;
    case "r": document.getElementById("live")?.click(); break;
    case "t": document.querySelector(`.choices button[name=theme][value=${nextTheme()}]`)?.click(); break;
    case "?": document.getElementById("help")?.showModal(); break;
  }
});

function nextTheme() {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  return dark ? "light" : "dark";
}
