// The palette: what the page /go finds, in a dialog, while somebody types. Arrows move, Enter goes.

const root = document.documentElement.dataset.root || "";
let dialog = null;
let asked = 0;
let waiting = 0;

/** Open it; once it is there it is used again. */
export async function open() {
  dialog ??= make();
  if (dialog.open) return;
  dialog.showModal();
  const box = dialog.querySelector("input");
  box.value = "";
  box.focus();
  await find();
}

function make() {
  const made = document.createElement("dialog");
  made.id = "palette";
  const opener = document.querySelector("[data-palette]");
  made.setAttribute("aria-label", opener.dataset.palette);
  const form = document.createElement("form");
  form.className = "find";
  form.action = `${root}/go`;
  const box = document.createElement("input");
  box.type = "search";
  box.name = "q";
  box.autocomplete = "off";
  box.spellcheck = false;
  box.placeholder = opener.dataset.words;
  box.setAttribute("aria-label", opener.dataset.words);
  const list = document.createElement("ul");
  list.className = "ways";
  form.append(box);
  made.append(form, list);
  document.body.append(made);
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("../css/palette.css", import.meta.url).href;
  if (!document.querySelector(`link[href$="/css/palette.css"]`)) document.head.append(style);
  box.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 60); });
  made.addEventListener("keydown", keys);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    await find();
    made.querySelector(".way")?.click();
  });
  return made;
}

async function find() {
  const mine = ++asked;
  const typed = dialog.querySelector("input").value;
  let text;
  try {
    const answer = await fetch(`${root}/go?q=${encodeURIComponent(typed)}`, { headers: { "x-toril-refresh": "1" } });
    if (answer.headers.get("x-toril-session") === "ended") return location.reload();
    if (!answer.ok) return;
    text = await answer.text();
  } catch {
    return;  // no connection: what was found before stays
  }
  if (mine !== asked) return;
  const found = new DOMParser().parseFromString(text, "text/html").getElementById("ways");
  if (!found) return;
  for (const next of found.querySelectorAll("input[name=next]")) next.value = location.pathname + location.search;
  dialog.querySelector("ul").replaceChildren(...found.children);
}

function keys(event) {
  const ways = [...dialog.querySelectorAll(".way")];
  const box = dialog.querySelector("input");
  const at = ways.indexOf(document.activeElement);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    if (at < 0 && event.key === "ArrowUp") ways.at(-1)?.focus();
    else if (next < 0) box.focus();
    else (ways[next] ?? box).focus();
  } else if (at >= 0 && event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey) {
    box.focus();  // typing goes on where it was
  }
}
